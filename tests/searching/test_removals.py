"""Ways of removing channels, tried without training."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.compression.recipe_steps import smaller
from keras_compress.searching.objectives import keras_metric
from keras_compress.searching.one_shot import compress_without_training
from keras_compress.searching.removals import Removal, probe_removals
from tests.fixtures.trained import networks

LOSS = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def taught():
    """A network that has learned which quarter of an image is bright, and its data."""
    return networks.load("quarters"), networks.quarter_images()


def test_ways_come_in_the_order_of_what_they_leave(taught):
    model, data = taught
    found = probe_removals(model, 0.5, data, LOSS, None, ("l2_norm", "random"), ("global", "layer"))
    assert len({(r.criterion, r.ranking) for r in found}) == 4
    accuracies = [removal.accuracy for removal in found]
    assert accuracies == sorted(accuracies, reverse=True)
    best = found[0]
    left = smaller(model, kc.Recipe(macs=0.5, **best.choices), data, LOSS)
    assert keras_metric(left, *data) == best.accuracy
    assert best.weights == left.count_params() / model.count_params() < 1


def _first_norm(model):
    return next(x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))


def _first_channels(model, x):
    """Means behind the first BatchNormalization, which should be its beta."""
    norm = _first_norm(model)
    outputs = keras.Model(model.input, norm.output).predict(x, verbose=0)
    return outputs.mean(axis=(0, 1, 2)), np.asarray(norm.beta)


def test_statistics_are_measured_again_behind_what_was_removed(taught):
    model, data = taught
    moved = keras.models.clone_model(model)
    moved.set_weights(model.get_weights())
    _first_norm(moved).moving_mean.assign_add(np.full(16, 2.0))
    for left, fits in (
        (kc.shrink(moved, macs=0.5), False),
        (smaller(moved, kc.Recipe(macs=0.5), data, LOSS), True),
    ):
        mean, beta = _first_channels(left, data[0])
        assert np.allclose(mean, beta, atol=0.01) == fits


def test_samples_come_alone_in_pairs_and_in_batches(taught):
    model, (x, y) = taught
    recipe = kc.Recipe(macs=0.5)
    of_pairs = smaller(model, recipe, (x, y)).get_weights()
    batches = [(x[k : k + 64], y[k : k + 64]) for k in range(0, len(x), 64)]
    for data in (x, batches, (batch for batch in batches)):
        for one, other in zip(of_pairs, smaller(model, recipe, data).get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_file_without_training_has_the_statistics_of_its_zeros(taught):
    model, (x, y) = taught
    recipe = kc.Recipe(profile="cortex_m4", sparsity=0.8)
    compressed = compress_without_training(model, recipe, (x, y))
    first, *_ = compressed_layers(compressed)
    variable, masked = first.variable(first.kernels[0]), first.masked_kernel(first.kernels[0])
    assert np.asarray(masked).astype(bool).mean() < 0.3
    with keras.StatelessScope(state_mapping=[(variable, masked)]):
        outputs = np.asarray(first.layer(x))
    mean = outputs.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(first.batch_norm.moving_mean, mean, rtol=0.02, atol=0.02)


def test_a_metric_of_ones_own_ranks(taught):
    model, data = taught
    (found,) = probe_removals(
        model, 0.5, data, LOSS, lambda y, p: float(len(y)), ("l2_norm",), ("global",)
    )
    assert found.accuracy == 512.0


def test_what_the_model_does_not_allow_is_left_out():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    data = np.zeros((8, 8), "float32"), np.zeros(8, int)
    assert probe_removals(model, 0.5, data, "mse", None, ("l2_norm",), ("global",)) == []


def test_weights_at_other_shares_follow_a_power():
    removal = Removal(criterion="l2_norm", ranking="global", macs=0.5, accuracy=0.5, weights=0.25)
    assert removal.weights_at(0.5) == pytest.approx(0.25)
    assert removal.weights_at(0.25) == pytest.approx(0.0625)
    assert removal.weights_at(1.0) == 1.0
