"""Score groups by their share of what is left of their layer."""

import dataclasses

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class Lamp(Criterion):
    """Layer-adaptive magnitude: score = s / sum of all s of the layer that are not smaller.

    Here s = sum(w ** 2) is the square of a group's norm. Within a layer the order is that of
    `L2Norm`. The largest group of each layer has the score 1, and a factor on all weights of a
    layer changes nothing, so a global ranking takes few weights from layers that have few.

    Source: Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", 2021,
    arXiv:2010.07611, equation 1.

    Example:
        >>> Lamp()(np.array([[3.0], [1.0], [2.0]])).round(3)
        array([1.   , 0.071, 0.308])
    """

    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights."""
        squares = np.asarray(np.square(groups, dtype=np.float64).sum(axis=1))
        ascending = np.argsort(squares, kind="stable")
        not_smaller = np.empty_like(squares)
        not_smaller[ascending] = np.cumsum(squares[ascending][::-1])[::-1]
        # The sum is zero only for groups of zeros, which score zero.
        return squares / np.where(not_smaller > 0, not_smaller, 1.0)
