"""Centroids with equal numbers of weights between them."""

import dataclasses

import numpy as np

from keras_compress.clustering.initializers.base import CentroidInitializer


@dataclasses.dataclass(frozen=True)
class Density(CentroidInitializer):
    """Places centroids so that equal numbers of weights lie between them.

        c_k = F^-1((k + 1/2) / n),  k = 0 … n - 1,  F the distribution of the weights

    Centroids are dense where weights are dense, that is, around zero.

    Source: Han et al. 2016, "Deep Compression", section 3.2.

    Example:
        >>> Density()(np.arange(9.0), 2, None)
        array([2., 6.])
    """

    def __call__(self, weights: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
        """See `CentroidInitializer.__call__`."""
        return np.quantile(weights, (np.arange(clusters) + 0.5) / clusters)
