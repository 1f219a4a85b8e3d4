"""A BatchNormalization that is not folded freezes together with the ranges."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.wrappers.phase import Phase
from keras_compress.wrappers.phased_normalization import PhasedNormalization
from tests.fixtures.batches import batches

X = np.random.default_rng(0).normal(1, 2, size=(32, 6, 6, 3)).astype(np.float32)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = layers.BatchNormalization(name="lone", momentum=0.5)(layers.MaxPooling2D()(image))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 2)(x))
    model = kc.compress(keras.Model(image, x), quantization="generic_int8")
    model.compile("sgd", "mse", run_eagerly=True)  # One step: not worth being traced.
    return model


def _fit(model, x, phase):
    steps = {Phase.LEARNING: {}, Phase.FROZEN: {"freeze_step": 0}}[phase]
    data = batches(32, x, np.zeros((len(x), 4)))
    model.fit(data, shuffle=False, verbose=0, callbacks=[kc.QuantizationCallback(**steps)])


def test_statistics_move_until_they_are_frozen(model):
    norm = model.get_layer("lone").layer
    before = norm.moving_mean.numpy()
    _fit(model, X, Phase.LEARNING)
    learned = norm.moving_mean.numpy()
    assert np.abs(learned - before).min() > 0.1
    gamma = norm.gamma.numpy()
    _fit(model, X / 2, Phase.FROZEN)
    np.testing.assert_array_equal(norm.moving_mean, learned)
    assert np.abs(norm.gamma - gamma).max() > 0


def test_frozen_training_computes_what_inference_does(model):
    _fit(model, X, Phase.LEARNING)
    layer = model.get_layer("lone")
    layer.set_phase(Phase.FROZEN)
    x = X[:, :3, :3]
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))


def test_it_is_saved_stripped_and_deployed(model, tmp_path):
    _fit(model, X, Phase.LEARNING)
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.get_layer("lone"), PhasedNormalization)
    np.testing.assert_array_equal(loaded(X), model(X))
    plain = kc.strip(loaded)
    assert isinstance(plain.get_layer("lone"), layers.BatchNormalization)
    result = kc.evaluate(kc.convert(loaded), X, baseline=loaded)
    assert result.output_error["mse"] < 1e-6
