"""A source of samples in whole arrays."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_compress.data.source import Source, count_samples
from keras_compress.data.structure import map_leaves, to_numpy
from keras_compress.errors import InvalidArgumentError


class LazyArray(abc.ABC):
    """An array whose rows are computed on demand.

    Args:
        shape: Its shape; the first dimension counts samples.
    """

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        """Return an array of the rows at a slice or an array of positions."""
        return self.rows(np.arange(len(self))[rows])

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)

    @abc.abstractmethod
    def rows(self, positions: np.ndarray) -> np.ndarray:
        """Return the array (positions, *shape[1:]) of the rows at these positions."""


class ArraySource(Source):
    """Whole arrays, which are split into batches without copying.

    Args:
        x: An array (samples, ...), or a list or dict of arrays.
        y: The targets in one of these forms, or `None`.

    Example:
        >>> [x.shape for x, _ in ArraySource(np.zeros((5, 3))).batches(2)]
        [(2, 3), (2, 3), (1, 3)]
    """

    def __init__(self, x: Any, y: Any = None):
        self._x, self._y = x, y

    def inputs_only(self) -> Source:
        """Return a source of x without targets."""
        return ArraySource(self._x)

    def batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Yield (x, y) views of the arrays."""
        for start in range(0, count_samples(self._x, self._y), batch_size):
            yield self._map(lambda a, rows=slice(start, start + batch_size): to_numpy(a[rows]))

    def first(self, count: int) -> tuple[Any, Any]:
        """Return copies of the first samples."""
        self._count()
        # A view would keep the whole array in memory.
        return self._map(lambda array: np.array(to_numpy(array[:count])))

    def spread(self, count: int) -> tuple[Any, Any]:
        """Return copies of evenly spaced samples."""
        total = self._count()
        rows = np.linspace(0, total - 1, min(count, total)).round().astype(int)
        return self._map(lambda array: _random_access(array)[rows])

    def whole(self) -> tuple[Any, Any]:
        """Return the arrays themselves if they are numpy's, else as numpy arrays."""
        return self._map(to_numpy)

    def require_end(self) -> None:
        """Arrays always have an end."""

    def _count(self):
        total = count_samples(self._x, self._y)
        if not total:
            raise InvalidArgumentError("The data must have at least one sample. Received: none")
        return total

    def _map(self, function):
        return map_leaves(function, self._x), map_leaves(function, self._y)


def _random_access(array):
    return array if isinstance(array, LazyArray) else to_numpy(array)
