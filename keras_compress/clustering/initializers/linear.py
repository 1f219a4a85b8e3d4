"""Centroids at equal distances between the smallest and the largest weight."""

import dataclasses

import numpy as np

from keras_compress.clustering.initializers.base import CentroidInitializer


@dataclasses.dataclass(frozen=True)
class Linear(CentroidInitializer):
    """Spaces centroids evenly between the smallest and the largest weight.

        c_k = min + k * (max - min) / (n - 1),  k = 0 … n - 1

    Large weights, which are few but matter most, have a centroid nearby.

    Source: Han et al. 2016, "Deep Compression", section 3.2.

    Example:
        >>> Linear()(np.array([-1.0, 0.0, 0.5, 1.0]), 3, None)
        array([-1.,  0.,  1.])
    """

    def __call__(self, weights: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
        """See `CentroidInitializer.__call__`."""
        return np.linspace(weights.min(), weights.max(), clusters)
