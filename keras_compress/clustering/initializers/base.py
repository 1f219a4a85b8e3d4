"""The base class of centroid initializers."""

import abc
import dataclasses

import numpy as np

from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class CentroidInitializer(Plugin, abc.ABC):
    """Chooses from the weights the first values that they share."""

    @abc.abstractmethod
    def __call__(self, weights: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
        """Choose centroids.

        Args:
            weights: Float array (n,) of the weights that share one codebook, n at least 1.
            clusters: Number of centroids.
            rng: `numpy.random.Generator` for random initializers.

        Returns:
            Float array (clusters,).
        """
