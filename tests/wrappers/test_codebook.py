import numpy as np
import pytest

from keras_compress.clustering.initializers.linear import Linear
from keras_compress.wrappers.codebook import Codebook
from keras_compress.wrappers.phase import Phase

SHAPE = (3, 3, 4, 6)


@pytest.fixture
def kernel():
    weights = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    weights[np.abs(weights) < 0.8] = 0
    return weights


def build(axes=(), clusters=4, keeps_zero=False):
    codebook = Codebook(SHAPE, axes, clusters, keeps_zero)
    codebook.build()
    return codebook


def test_off_passes_weights_through(kernel):
    np.testing.assert_array_equal(build().call(kernel), kernel)


@pytest.mark.parametrize("axes", [(), (3,), (2, 3)])
def test_no_more_values_than_clusters(kernel, axes):
    codebook = build(axes)
    codebook.begin(kernel, Linear())
    clustered = np.asarray(codebook.call(kernel))
    order = (*axes, *(k for k in range(4) if k not in axes))
    rows = clustered.transpose(order).reshape(codebook.groups, -1)
    assert max(len(np.unique(row)) for row in rows) <= 4
    # By hand: the linear centroids of each group, and the nearest of them.
    for row, source in zip(rows, kernel.transpose(order).reshape(rows.shape), strict=True):
        centroids = np.linspace(source.min(), source.max(), 4)
        wanted = centroids[np.abs(source[:, None] - centroids).argmin(axis=1)]
        np.testing.assert_allclose(row, wanted, atol=1e-6)


def test_zeros_stay_zero_and_count_as_one_value(kernel):
    codebook = build(keeps_zero=True)
    codebook.begin(kernel, Linear())
    # The first centroid counts as zero, however training changes it.
    codebook.centroids.assign_add(np.full((1, 4), 0.01))
    clustered = np.asarray(codebook.call(kernel))
    assert (clustered[kernel == 0] == 0).all()
    assert len(np.unique(clustered)) <= 4
    assert (clustered[np.abs(kernel) > 1.5] != 0).all()


def test_frozen_weights_keep_their_centroid(kernel):
    codebook = build()
    codebook.begin(kernel, Linear())
    before = np.asarray(codebook.call(kernel))
    codebook.freeze(kernel)
    assert codebook.phase == Phase.FROZEN
    np.testing.assert_array_equal(codebook.call(-kernel), before)
    codebook.centroids.assign_add(np.ones((1, 4)))
    np.testing.assert_allclose(codebook.call(-kernel), before + 1, atol=1e-6)


def test_a_kernel_of_zeros_can_be_clustered():
    codebook = build(keeps_zero=True)
    codebook.begin(np.zeros(SHAPE, np.float32), Linear())
    assert not np.asarray(codebook.call(np.zeros(SHAPE, np.float32))).any()
