"""What holds for every pattern, whoever adds it."""

import json

import numpy as np
import pytest

from keras_compress.pruning.patterns.base import Pattern
from keras_compress.support import plugins

PACKAGE = "keras_compress.pruning.patterns"
NAMES = (*plugins.names(PACKAGE), "1:4", "2:8", "1x4", "4x4", "3x5")
LAYERS = {
    "dense": ((8, 16), 0),
    "dense_ragged": ((7, 10), 0),
    "conv2d": ((6, 3, 3, 8), 0),
    "conv2d_first": ((4, 3, 3, 3), 0),
    "depthwise": ((1, 3, 3, 8), 3),
}
every_pattern = pytest.mark.parametrize("name", NAMES)
every_layer = pytest.mark.parametrize("layer", LAYERS)


@pytest.fixture
def pattern(name):
    return plugins.resolve(PACKAGE, name, Pattern)


@pytest.fixture
def weights(layer):
    return np.random.default_rng(7).normal(size=LAYERS[layer][0]).astype(np.float32)


@pytest.fixture
def axis(layer):
    return LAYERS[layer][1]


def mask(pattern, weights, axis, sparsity):
    scores = np.asarray(np.abs(pattern.group(weights, axis)).mean(axis=1))
    return pattern.mask(scores, sparsity, weights.shape, axis)


@every_pattern
def test_config_goes_through_json(pattern):
    config = json.loads(json.dumps(pattern.get_config()))
    assert type(pattern).from_config(config) == pattern


@every_pattern
@every_layer
def test_groups_hold_each_weight_once(pattern, weights, axis):
    groups = pattern.group(weights, axis)
    values = np.ma.masked_array(groups).compressed()
    np.testing.assert_array_equal(np.sort(values), np.sort(weights.ravel()))
    sizes = np.ma.masked_array(groups).count(axis=1)
    np.testing.assert_array_equal(pattern.group_sizes(weights.shape, axis), sizes)


@every_pattern
@every_layer
def test_ungroup_reaches_the_weights_of_the_group(pattern, weights, axis):
    n_groups = len(pattern.group(weights, axis))
    keep = np.random.default_rng(1).random(n_groups) < 0.5
    spread = pattern.ungroup(keep, weights.shape, axis)
    assert spread.shape == weights.shape
    for kept, group in zip(keep, np.ma.masked_array(pattern.group(spread, axis)), strict=True):
        assert set(group.compressed()) == {kept}


@every_pattern
@every_layer
def test_masks_are_boolean_deterministic_and_never_empty(pattern, weights, axis):
    before = weights.copy()
    for sparsity in (0.0, 0.3, 0.5, 0.99):
        first = mask(pattern, weights, axis, sparsity)
        assert first.dtype == bool
        assert first.shape == weights.shape
        assert first.any()
        np.testing.assert_array_equal(first, mask(pattern, weights, axis, sparsity))
    np.testing.assert_array_equal(weights, before)


@every_pattern
@every_layer
def test_zero_sparsity_keeps_all(pattern, weights, axis):
    assert mask(pattern, weights, axis, 0.0).all()


@every_pattern
@every_layer
def test_a_sparser_mask_lies_inside_a_denser_one(pattern, weights, axis):
    masks = [mask(pattern, weights, axis, sparsity) for sparsity in np.linspace(0, 0.99, 12)]
    for denser, sparser in zip(masks[:-1], masks[1:], strict=True):
        assert not np.any(sparser & ~denser)


@every_pattern
@every_layer
def test_ties_do_not_change_how_many_groups_stay(pattern, weights, axis):
    different, equal = (mask(pattern, w, axis, 0.5) for w in (weights, np.ones_like(weights)))
    assert kept_groups(pattern, equal, axis) == kept_groups(pattern, different, axis)


def kept_groups(pattern, mask, axis):
    return np.count_nonzero(pattern.group(mask, axis).any(axis=1))
