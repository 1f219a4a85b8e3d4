"""What every initializer of centroids shares: the call."""

import abc
import dataclasses

import numpy as np

from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class CentroidInitializer(Plugin, abc.ABC):
    """A map from weights to the values that they begin to share."""

    @abc.abstractmethod
    def __call__(self, weights: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
        """Choose centroids.

        Args:
            weights: Float array (n,) of the weights that share one codebook, n at least 1.
            clusters: Number of centroids.
            rng: `numpy.random.Generator` for initializers that draw.

        Returns:
            Float array (clusters,).
        """
