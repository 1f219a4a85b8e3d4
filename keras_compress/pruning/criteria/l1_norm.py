"""Score groups by the sum of their absolute weights."""

import dataclasses

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class L1Norm(Criterion):
    """The L1 norm of a group: score = sum(|w|).

    Source: Li et al., "Pruning filters for efficient convnets", 2017, arXiv:1608.08710,
    section 3.1 (for the filters of a convolution).

    Example:
        >>> L1Norm()(np.array([[1.0, -3.0], [0.5, 0.5]]))
        array([4., 1.])
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
        if groups.shape[1] == 1:  # reducing an axis of one element is slow in numpy
            return np.abs(groups[:, 0])
        return np.asarray(np.abs(groups).sum(axis=1))
