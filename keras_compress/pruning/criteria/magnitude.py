"""Score groups by their mean absolute weight."""

import dataclasses

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class Magnitude(Criterion):
    """The mean absolute value of a group: score = mean(|w|).

    A mean does not grow with the size of the group, so layers with groups of different sizes can be
    ranked together.

    Source: Han et al., "Learning both weights and connections for efficient neural networks",
    2015, arXiv:1506.02626, section 3.

    Example:
        >>> Magnitude()(np.array([[1.0, -3.0], [0.5, 0.5]]))
        array([2. , 0.5])
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
        return np.asarray(np.abs(groups).mean(axis=1))
