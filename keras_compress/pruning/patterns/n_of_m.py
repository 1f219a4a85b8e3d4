"""Keep at most n of every m neighbouring weights."""

import dataclasses
import math
import re
from typing import ClassVar, Self

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.patterns.base import Pattern
from keras_compress.pruning.ranking import check_numbers


@dataclasses.dataclass(frozen=True)
class NOfM(Pattern):
    """At most n nonzero weights in every m consecutive ones along the last deployed axis.

    The last axis is the input axis of Dense layers and convolutions. Neighbourhoods start at
    every m-th element. A last neighbourhood of fewer than m elements also keeps at most n. An axis
    shorter than m (the three colours read by a first convolution, for 2:4) stays dense, because no
    kernel could exploit zeros there and the layer has few weights.

    The pattern determines the final sparsity, 1 - n / m. A rising schedule gets there in whole
    steps: at sparsity s, min(m - n, ceil(m * s)) of every m weights are zero, so 2:4 is 3:4 up to a
    sparsity of 0.25 and 2:4 above.

    Source: Mishra et al., "Accelerating sparse deep neural networks", 2021, arXiv:2104.08378
    (2:4); Kao et al., "Training recipe for N:M structured sparsity with decaying pruning
    mask", 2022, arXiv:2209.07617 (reaching it in steps).

    Args:
        n: Number of weights to keep in a neighbourhood.
        m: Number of weights in a neighbourhood.

    Raises:
        InvalidArgumentError: Unless 1 <= n < m.

    Example:
        >>> pattern = NOfM.from_name("2:4")
        >>> pattern.sparsity
        0.5
        >>> pattern.mask(np.array([1.0, 4.0, 3.0, 2.0]), 0.5, (1, 4), 0)
        array([[False,  True,  True, False]])
    """

    n: int = 2
    m: int = 4
    local: ClassVar[bool] = True

    def __post_init__(self):
        are_integers = isinstance(self.n, int) and isinstance(self.m, int)
        if not are_integers or not 1 <= self.n < self.m:
            raise InvalidArgumentError(
                "An N:M pattern keeps n of every m neighbouring weights, with 1 <= n < m, as in "
                f"'2:4'. Received: {self.n}:{self.m}"
            )

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Return the pattern for a name such as `"2:4"`, or `None` for any other name."""
        match = re.fullmatch(r"(\d+):(\d+)", name)
        return cls(int(match[1]), int(match[2])) if match else None

    @property
    def sparsity(self) -> float:
        """The fraction of zeros in a full neighbourhood, 1 - n / m."""
        return 1 - self.n / self.m

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """See `Pattern.group`."""
        return weights.reshape(-1, 1)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.ungroup`."""
        return keep.reshape(shape)

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.group_sizes`."""
        return np.ones(math.prod(shape), int)

    def mask(
        self, scores: np.ndarray, sparsity: float, shape: tuple[int, ...], channel_axis: int
    ) -> np.ndarray:
        """See `Pattern.mask`."""
        n_pruned = self._count(sparsity)
        if shape[-1] < self.m or n_pruned == 0:
            return np.ones(shape, bool)
        check_numbers(scores)
        rows = scores.reshape(-1, shape[-1])
        n_missing = -shape[-1] % self.m
        # Padding ranks last, so a short neighbourhood also keeps its best real weights.
        rows = np.pad(rows, ((0, 0), (0, n_missing)), constant_values=-np.inf)
        keep = _largest_of_each(rows.reshape(-1, self.m), self.m - n_pruned)
        return keep.reshape(len(rows), -1)[:, : shape[-1]].reshape(shape)

    def check_target(self, sparsity: float) -> None:
        """Refuse a schedule that ends before it reaches the pattern."""
        n_pruned = self._count(sparsity)
        if 0 < n_pruned < self.m - self.n:
            raise InvalidArgumentError(
                f"Pattern {self.n}:{self.m} means a sparsity of {self.sparsity:g}. A schedule that "
                f"ends lower stops at {self.m - n_pruned}:{self.m}. End it at {self.sparsity:g} "
                f"or choose that pattern. Received: a schedule that ends at {sparsity:g}"
            )

    def _count(self, sparsity):
        # The margin absorbs floating-point error: 0.5 + 1e-9 still counts as 0.5.
        return min(self.m - self.n, math.ceil(self.m * sparsity - 1e-6))


def _largest_of_each(rows, n_kept):
    """Mark the `n_kept` largest elements of each row; among equal ones the last are kept.

    Rows are short, so it is cheaper to count how many elements beat each one than to sort.
    """
    columns = np.ascontiguousarray(rows.T)
    beaten_by = np.zeros(columns.shape, np.int32)
    for index in range(len(columns)):
        for other in range(index):
            wins = columns[index] >= columns[other]
            beaten_by[other] += wins
            beaten_by[index] += ~wins
    return (beaten_by < n_kept).T
