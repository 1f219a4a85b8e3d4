import numpy as np
import pytest

from keras_compress.clustering.initializers.base import CentroidInitializer
from keras_compress.clustering.initializers.density import Density
from keras_compress.clustering.initializers.kmeans_plus_plus import KMeansPlusPlus
from keras_compress.clustering.initializers.random import Random
from keras_compress.support import plugins


def error(weights, centroids):
    return ((weights[:, None] - centroids) ** 2).min(axis=1).sum()


def test_density_puts_as_many_weights_about_each_centroid():
    weights = np.random.default_rng(0).normal(size=8000)
    centroids = Density()(weights, 8, None)
    between = np.searchsorted(np.sort(weights), centroids)
    np.testing.assert_allclose(np.diff(between), 1000, atol=1)


def test_random_takes_weights_themselves():
    weights = np.random.default_rng(0).normal(size=50)
    assert set(Random()(weights, 50, np.random.default_rng(3))) == set(weights)


def test_kmeans_is_as_good_as_scipy():
    vq = pytest.importorskip("scipy.cluster.vq", reason="the oracle is SciPy's k-means")
    weights = np.random.default_rng(0).standard_t(4, size=2000)
    ours = KMeansPlusPlus(iterations=100)(weights, 16, np.random.default_rng(1))
    theirs, _ = vq.kmeans2(weights, 16, iter=100, minit="++", rng=1)
    assert error(weights, ours) < 1.15 * error(weights, theirs)
    # A fixed point: one more iteration by SciPy does not move the centroids.
    again, _ = vq.kmeans2(weights, ours, iter=1, minit="matrix")
    np.testing.assert_allclose(np.sort(again), np.sort(ours), atol=1e-9)


def test_kmeans_answers_to_its_other_name():
    package = "keras_compress.clustering.initializers"
    assert plugins.resolve(package, "kmeans++", CentroidInitializer) == KMeansPlusPlus()
