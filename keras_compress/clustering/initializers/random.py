"""Centroids drawn at random from the weights."""

import dataclasses

import numpy as np

from keras_compress.clustering.initializers.base import CentroidInitializer


@dataclasses.dataclass(frozen=True)
class Random(CentroidInitializer):
    """Draws centroids from the weights with equal probability (Forgy's method).

    Source: Han et al. 2016, "Deep Compression", section 3.2.

    Example:
        >>> Random()(np.array([4.0]), 2, np.random.default_rng(0))
        array([4., 4.])
    """

    def __call__(self, weights: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
        """See `CentroidInitializer.__call__`."""
        return rng.choice(weights, clusters, replace=len(weights) < clusters)
