"""An element is told to be a sample or a batch, with targets or without, by its shapes."""

import re

import numpy as np
import pytest

from keras_compress.data.element import read_element
from keras_compress.data.input_spec import InputSpec
from keras_compress.errors import InvalidArgumentError

ONE = [InputSpec("x", (2, 4))]
TWO = [InputSpec("a", (3,)), InputSpec("b", (2, 2))]
FREE = [InputSpec("tokens", (None,))]
SAMPLE, BATCH = np.ones((2, 4)), np.ones((5, 2, 4))
A, B = np.ones(3), np.ones((2, 2))


@pytest.mark.parametrize(
    ("value", "inputs", "is_batch", "has_targets"),
    [
        (SAMPLE, ONE, False, False),
        (BATCH, ONE, True, False),
        ((SAMPLE, 1), ONE, False, True),
        ([BATCH, np.ones(5)], ONE, True, True),
        ((BATCH, None), ONE, True, False),
        ((BATCH, np.ones(5), np.ones(5)), ONE, True, True),
        ([BATCH], ONE, True, False),
        (([BATCH], np.ones(5)), ONE, True, True),
        (({"x": SAMPLE}, 1), ONE, False, True),
        (SAMPLE.tolist(), ONE, False, False),
        (tuple(SAMPLE), ONE, False, False),
        ((A, B), TWO, False, False),
        ({"b": B, "a": A}, TWO, False, False),
        (((A, B), 1), TWO, False, True),
        ((A[None], B[None]), TWO, True, False),
        (np.ones(7), FREE, False, False),
        (np.ones((2, 7)), FREE, True, False),
    ],
)
def test_what_an_element_is(value, inputs, is_batch, has_targets):
    element = read_element(value, inputs, 0)
    assert (element.is_batch, element.y is not None) == (is_batch, has_targets)
    assert element.count == (1 if not is_batch else len(np.atleast_1d(_first(element.x))))


def _first(x):
    return x if isinstance(x, np.ndarray) else next(iter(x.values() if isinstance(x, dict) else x))


@pytest.mark.parametrize(
    ("value", "inputs", "words"),
    [
        (np.ones((2, 5)), ONE, "takes samples of shape (n_samples, 2, 4)"),
        ((np.ones((5, 2, 5)), np.ones(5)), ONE, "an array of shape (5, 2, 5) in item 7"),
        ([[1.0], [1.0, 2.0]], ONE, "differ in shape"),
        (A, TWO, "Received: one array in item 7"),
        ([A], TWO, "Received: 1 parts in item 7"),
        ((A, B[None]), TWO, "one batch of samples, for each of the inputs"),
        ((BATCH, np.ones(4)), ONE, "inputs of lengths [5] and targets of lengths [4] in item 7"),
    ],
)
def test_what_does_not_fit_is_named(value, inputs, words):
    with pytest.raises(InvalidArgumentError, match=re.escape(words)):
        read_element(value, inputs, 7)


def test_targets_that_are_not_asked_for_may_be_anything():
    element = read_element((BATCH, [object(), [1, [2]]]), ONE, 0, targets=False)
    assert element.y is None and element.count == 5
