"""Streams are read no further than needed, and put together into batches."""

import numpy as np
import pytest

from keras_compress.data.element_source import ElementSource
from keras_compress.data.input_spec import InputSpec
from keras_compress.errors import InvalidArgumentError

SPEC = [InputSpec("x", (3,))]
X = np.arange(30.0).reshape(10, 3)


def test_samples_are_put_together_and_batches_stay():
    elements = [X[0], X[1], X[2], X[3:8], X[8]]
    sizes = [len(x) for x, _ in ElementSource(elements, SPEC).batches(2)]
    assert sizes == [2, 1, 5, 1]
    np.testing.assert_array_equal(ElementSource(elements, SPEC).whole()[0], X[:9])


def test_the_first_samples_are_read_and_no_more():
    iterator = iter(X)
    x, y = ElementSource(iterator, SPEC).first(4)
    np.testing.assert_array_equal(x, X[:4])
    assert y is None and len(list(iterator)) == 6


def test_what_is_kept_does_not_hold_the_batch_it_came_from():
    batch = np.zeros((1000, 3))
    x, _ = ElementSource([batch], SPEC).first(2)
    assert not np.shares_memory(x, batch)


def test_no_samples_and_no_end_are_refused():
    with pytest.raises(InvalidArgumentError, match="already consumed"):
        ElementSource([], SPEC).whole()
    endless = ElementSource(iter(X), SPEC, endless=True)
    with pytest.raises(InvalidArgumentError, match="dataset.take"):
        endless.whole()
    assert len(endless.first(3)[0]) == 3


def test_elements_that_cannot_be_put_together_are_refused():
    free = [InputSpec("tokens", (None,))]
    with pytest.raises(InvalidArgumentError, match="same names and shapes"):
        ElementSource([np.ones(3), np.ones(4)], free).whole()
    elements = [{"x": X[0]}, X[1]]
    with pytest.raises(InvalidArgumentError, match="same names and shapes"):
        ElementSource(elements, SPEC).whole()
