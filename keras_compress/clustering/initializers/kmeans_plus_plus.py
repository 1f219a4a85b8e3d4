"""Centroids with the least squared distance to the weights: k-means with k-means++ seeds."""

import dataclasses
from typing import Self

import numpy as np

from keras_compress.clustering.initializers.base import CentroidInitializer


@dataclasses.dataclass(frozen=True)
class KMeansPlusPlus(CentroidInitializer):
    """Runs k-means on the weights, started from k-means++ seeds.

    Seeds are drawn with probability D(w)**2 / sum D**2, where D(w) is the distance from a weight to
    the nearest seed so far. Each of Lloyd's iterations then moves every centroid to the mean of the
    weights nearest to it.

    Args:
        iterations: Maximum number of Lloyd's iterations; they stop when no centroid moves.

    Source: Arthur & Vassilvitskii 2007, "k-means++: the advantages of careful seeding".

    Example:
        >>> weights = np.array([0.0, 0.1, 5.0, 5.1])
        >>> np.sort(KMeansPlusPlus()(weights, 2, np.random.default_rng(0))).round(2)
        array([0.05, 5.05])
    """

    iterations: int = 30

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Return the initializer for `"kmeans++"`, its usual name elsewhere, else `None`."""
        return cls() if name == "kmeans++" else None

    def __call__(self, weights: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
        """See `CentroidInitializer.__call__`."""
        centroids = np.sort(_seeds(weights, clusters, rng))
        for _ in range(self.iterations):
            updated = _means(weights, centroids)
            if np.array_equal(updated, centroids):
                break
            centroids = updated
        return centroids


def _seeds(weights, clusters, rng):
    seeds = [rng.choice(weights)]
    distances = (weights - seeds[0]) ** 2
    while len(seeds) < clusters:
        total = distances.sum()
        # With fewer distinct weights than centroids, the remaining centroids coincide.
        seeds.append(rng.choice(weights, p=distances / total) if total > 0 else seeds[-1])
        distances = np.minimum(distances, (weights - seeds[-1]) ** 2)
    return np.array(seeds)


def _means(weights, centroids):
    """Return the mean of the weights nearest to each sorted centroid; itself if there are none."""
    nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)
    counts = np.bincount(nearest, minlength=len(centroids))
    sums = np.bincount(nearest, weights, minlength=len(centroids))
    return np.where(counts > 0, sums / np.maximum(counts, 1), centroids)
