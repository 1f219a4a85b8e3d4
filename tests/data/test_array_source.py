"""Whole arrays are cut without copies, and samples of lazy ones made only where asked for."""

import numpy as np
import pytest

from keras_compress.data.array_source import ArraySource, LazyArray
from keras_compress.errors import InvalidArgumentError

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)


class Squares(LazyArray):
    def __init__(self):
        super().__init__((10, 2))
        self.made = []

    def rows(self, positions):
        self.made += positions.tolist()
        return X[positions] ** 2


def test_batches_and_the_whole_are_no_copies():
    source = ArraySource({"a": X}, [Y])
    assert all(np.shares_memory(x["a"], X) for x, _ in source.batches(4))
    assert source.whole()[0]["a"] is X
    assert not np.shares_memory(source.first(3)[0]["a"], X)
    np.testing.assert_array_equal(source.spread(4)[1][0], [0, 3, 6, 9])


def test_a_lazy_array_makes_only_the_rows_that_are_asked_for():
    lazy = Squares()
    np.testing.assert_array_equal(ArraySource(lazy).spread(3)[0], X[[0, 4, 9]] ** 2)
    np.testing.assert_array_equal(next(ArraySource(lazy).batches(2))[0], X[:2] ** 2)
    assert lazy.made == [0, 4, 9, 0, 1]
    np.testing.assert_array_equal(np.asarray(lazy), X**2)


def test_unequal_lengths_and_no_samples_are_refused():
    with pytest.raises(InvalidArgumentError, match=r"lengths \[10\] and targets of lengths \[9\]"):
        next(ArraySource(X, Y[:9]).batches(4))
    with pytest.raises(InvalidArgumentError, match=r"inputs of lengths \[10, 3\]"):
        ArraySource([X, X[:3]]).first(1)
    for read in (ArraySource(X[:0]).first, ArraySource(X[:0]).spread):
        with pytest.raises(InvalidArgumentError, match="at least one sample"):
            read(5)
