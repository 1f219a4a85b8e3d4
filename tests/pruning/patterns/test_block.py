import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.criteria.magnitude import Magnitude
from keras_compress.pruning.patterns.block import Block


def mask(pattern, weights, sparsity, axis=0):
    scores = Magnitude()(pattern.group(weights, axis))
    return pattern.mask(scores, sparsity, weights.shape, axis)


def test_1x4_is_one_output_by_four_consecutive_inputs():
    weights = np.arange(32.0).reshape(2, 2, 2, 4)
    groups = Block.from_name("1x4").group(weights, 0)
    np.testing.assert_array_equal(groups[1], [4, 5, 6, 7])
    kept = mask(Block(1, 4), weights, 0.5).reshape(-1, 4)
    np.testing.assert_array_equal(kept.all(axis=1), [False] * 4 + [True] * 4)
    np.testing.assert_array_equal(kept.any(axis=1), kept.all(axis=1))


def test_4x4_falls_as_tiles_of_the_matrix():
    weights = np.random.default_rng(0).normal(size=(8, 12))
    tiles = mask(Block(4, 4), weights, 0.5).reshape(2, 4, 3, 4).sum(axis=(1, 3))
    assert sorted(tiles.ravel()) == [0, 0, 0, 16, 16, 16]


def test_a_ragged_edge_is_scored_by_its_real_weights():
    weights = np.full((1, 6), 0.5)
    weights[0, 4:] = 1.0
    np.testing.assert_array_equal(Magnitude()(Block(1, 4).group(weights, 0)), [0.5, 1.0])
    kept = mask(Block(1, 4), weights, 0.5)
    np.testing.assert_array_equal(kept, [[False] * 4 + [True] * 2])


def test_rows_are_channels_of_a_depthwise_kernel():
    weights = np.zeros((1, 2, 2, 3))
    weights[..., 1] = 1.0
    kept = mask(Block(1, 4), weights, 0.67, axis=3)
    np.testing.assert_array_equal(kept, weights.astype(bool))


@pytest.mark.parametrize("sides", [(0, 4), (1, -1), (1.5, 4)])
def test_refuses_a_block_without_size(sides):
    with pytest.raises(InvalidArgumentError, match="integer >= 1"):
        Block(*sides)


@pytest.mark.parametrize("name", ["4", "4x", "ax4", "1x4x4"])
def test_other_names_are_not_blocks(name):
    assert Block.from_name(name) is None
