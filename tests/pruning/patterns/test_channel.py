import numpy as np
import pytest

from keras_compress.pruning.criteria.l2_norm import L2Norm
from keras_compress.pruning.patterns.channel import Channel


def mask(weights, sparsity, axis):
    return Channel().mask(L2Norm()(Channel().group(weights, axis)), sparsity, weights.shape, axis)


@pytest.mark.parametrize("shape, axis", [((8, 5), 0), ((8, 3, 3, 2), 0), ((1, 3, 3, 8), 3)])
def test_the_weakest_channels_go_as_a_whole(shape, axis):
    weights = np.random.default_rng(2).normal(size=shape)
    others = tuple(index for index in range(len(shape)) if index != axis)
    norms = np.sqrt(np.square(weights).sum(axis=others))
    kept = mask(weights, 0.5, axis)
    np.testing.assert_array_equal(kept.all(axis=others), kept.any(axis=others))
    np.testing.assert_array_equal(kept.all(axis=others), norms > np.sort(norms)[3])


def test_one_channel_always_stays():
    kept = mask(np.array([[1.0, 2.0], [5.0, 6.0]]), 0.99, 0)
    np.testing.assert_array_equal(kept, [[False, False], [True, True]])
