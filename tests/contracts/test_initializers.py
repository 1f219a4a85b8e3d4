"""What holds for every initializer of centroids, whoever adds it."""

import json

import numpy as np
import pytest

from keras_compress.clustering.initializers.base import CentroidInitializer
from keras_compress.support import plugins

PACKAGE = "keras_compress.clustering.initializers"
every_initializer = pytest.mark.parametrize("name", plugins.names(PACKAGE))


def centroids(name, weights, clusters, seed=0):
    return plugins.get(PACKAGE, name)()(weights, clusters, np.random.default_rng(seed))


@every_initializer
def test_config_goes_through_json(name):
    initializer = plugins.get(PACKAGE, name)()
    assert isinstance(initializer, CentroidInitializer)
    config = json.loads(json.dumps(initializer.get_config()))
    assert type(initializer).from_config(config) == initializer


@every_initializer
@pytest.mark.parametrize("clusters", [1, 2, 16])
def test_centroids_lie_among_the_weights(name, clusters):
    weights = np.random.default_rng(1).normal(size=500)
    found = centroids(name, weights, clusters)
    assert found.shape == (clusters,)
    assert weights.min() <= found.min() and found.max() <= weights.max()


@every_initializer
def test_scaling_the_weights_scales_the_centroids(name):
    weights = np.random.default_rng(2).normal(size=300)
    scaled = centroids(name, 4 * weights, 8)
    np.testing.assert_allclose(scaled, 4 * centroids(name, weights, 8), rtol=1e-12)


@every_initializer
@pytest.mark.parametrize("weights", [np.array([0.5]), np.zeros(7), np.array([1.0, 1.0, 2.0])])
def test_fewer_values_than_centroids(name, weights):
    found = centroids(name, weights, 5)
    assert found.shape == (5,) and np.isfinite(found).all()
