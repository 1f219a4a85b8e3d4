"""Score groups by their Euclidean norm."""

import dataclasses

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class L2Norm(Criterion):
    """The L2 norm of a group: score = sqrt(sum(w ** 2)).

    One large weight is enough to keep its group; `L1Norm` weights all magnitudes alike.

    Source: He et al., "Soft filter pruning for accelerating deep convolutional neural
    networks", 2018, arXiv:1808.06866, section 3.2 (equation 2 with p = 2).

    Example:
        >>> L2Norm()(np.array([[3.0, -4.0], [0.5, 0.0]]))
        array([5. , 0.5])
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
        return np.asarray(np.sqrt(np.square(groups).sum(axis=1)))
