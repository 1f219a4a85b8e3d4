"""The pattern of n weights kept in each m neighbours."""

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
    """At most n weights in each m consecutive ones along the last axis of the deployed layout.

    The last axis is the input axis of Dense layers and convolutions. Neighbourhoods start at
    every m-th element. A last one of fewer than m elements keeps at most n too; an axis
    shorter than m (the three colours under a first convolution, for 2:4) is left dense, as no
    kernel could use zeros there and the layer holds few weights.

    The pattern fixes the sparsity at its end, 1 - n / m. A rising schedule goes there in
    whole steps: at sparsity s, min(m - n, ceil(m * s)) weights of each m are zero, so 2:4 is
    3:4 up to a sparsity of 0.25 and 2:4 above.

    Source: Mishra et al., "Accelerating sparse deep neural networks", 2021, arXiv:2104.08378
    (2:4); Kao et al., "Training recipe for N:M structured sparsity with decaying pruning
    mask", 2022, arXiv:2209.07617 (the way there in steps).

    Args:
        n: Weights that stay in a neighbourhood.
        m: Weights of a neighbourhood.

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
        whole = isinstance(self.n, int) and isinstance(self.m, int)
        if not whole or not 1 <= self.n < self.m:
            raise InvalidArgumentError(
                "An N:M pattern keeps n weights in each m neighbours, with 1 <= n < m, as in "
                f"'2:4'. Received: {self.n}:{self.m}"
            )

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Return the pattern of a name such as `"2:4"`, or `None` if it is no such name."""
        found = re.fullmatch(r"(\d+):(\d+)", name)
        return cls(int(found[1]), int(found[2])) if found else None

    @property
    def sparsity(self) -> float:
        """The fraction of zeros in a whole neighbourhood, 1 - n / m."""
        return 1 - self.n / self.m

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """Arrange weights in the groups that are pruned as one."""
        return weights.reshape(-1, 1)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Spread what holds for groups over the weights in them."""
        return keep.reshape(shape)

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Count the weights in each group."""
        return np.ones(math.prod(shape), int)

    def mask(
        self, scores: np.ndarray, sparsity: float, shape: tuple[int, ...], channel_axis: int
    ) -> np.ndarray:
        """Choose the weights that stay."""
        n_pruned = self._count(sparsity)
        if shape[-1] < self.m or n_pruned == 0:
            return np.ones(shape, bool)
        check_numbers(scores)
        rows = scores.reshape(-1, shape[-1])
        spare = -shape[-1] % self.m
        # Padding ranks last, so that a ragged neighbourhood keeps as many real weights.
        rows = np.pad(rows, ((0, 0), (0, spare)), constant_values=-np.inf)
        keep = _largest_of_each(rows.reshape(-1, self.m), self.m - n_pruned)
        return keep.reshape(len(rows), -1)[:, : shape[-1]].reshape(shape)

    def check_target(self, sparsity: float) -> None:
        """Refuse a schedule that ends before the pattern is reached."""
        reached = self._count(sparsity)
        if 0 < reached < self.m - self.n:
            raise InvalidArgumentError(
                f"Pattern {self.n}:{self.m} means a sparsity of {self.sparsity:g}, and a schedule "
                f"that ends lower leaves {self.m - reached}:{self.m}. End it at {self.sparsity:g}, "
                f"or name that pattern. Received: a schedule that ends at {sparsity:g}"
            )

    def _count(self, sparsity):
        # A hair below m * s, so that a sparsity that went through arithmetic counts as round.
        return min(self.m - self.n, math.ceil(self.m * sparsity - 1e-6))


def _largest_of_each(rows, n_kept):
    """Mark the `n_kept` largest of each row; of equal ones the last stay.

    Rows are short, so counting for each element how many beat it costs less than sorting.
    """
    columns = np.ascontiguousarray(rows.T)
    beaten_by = np.zeros(columns.shape, np.int32)
    for index in range(len(columns)):
        for other in range(index):
            wins = columns[index] >= columns[other]
            beaten_by[other] += wins
            beaten_by[index] += ~wins
    return (beaten_by < n_kept).T
