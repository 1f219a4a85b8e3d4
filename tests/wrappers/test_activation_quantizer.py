"""ActivationQuantizer learns a range, freezes it, and rounds to its grid."""

import keras
import numpy as np
import pytest

from keras_compress.graph.graph import trace
from keras_compress.quantization.fake_quant import fake_quantize_activations
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.phase import Phase

X = np.linspace(-1, 3, 41, dtype=np.float32)[None]


def test_nothing_is_rounded_before_a_batch_was_seen():
    layer = ActivationQuantizer()
    np.testing.assert_array_equal(layer(X), X)
    assert not layer.observed


def test_nothing_is_rounded_before_its_phase():
    layer = ActivationQuantizer(fixed_range=(0, 1))
    layer(X)
    layer.set_phase(Phase.OFF)
    np.testing.assert_array_equal(layer(X, training=True), X)


def test_the_first_batch_sets_the_range_and_is_rounded_to_it():
    layer = ActivationQuantizer()
    outputs = layer(X, training=True)
    assert layer.range == pytest.approx((-1, 3))
    np.testing.assert_allclose(outputs, fake_quantize_activations(X, -1.0, 3.0, 8))
    np.testing.assert_allclose(layer(X), outputs)


def test_the_range_follows_without_a_lag():
    layer = ActivationQuantizer()
    for factor in (1, 2, 3):
        layer(X * factor, training=True)
    assert layer.range == pytest.approx((-2, 6))


def test_inference_and_the_frozen_phase_leave_the_range_alone():
    layer = ActivationQuantizer()
    layer(X, training=True)
    layer(X * 5, training=False)
    layer(X * 5, training=True, observe=False)
    layer.set_phase(Phase.FROZEN)
    layer(X * 5, training=True)
    assert layer.range == pytest.approx((-1, 3))


def test_a_fixed_range_needs_no_data():
    layer = ActivationQuantizer(fixed_range=(0.0, 255 / 256))
    assert layer.observed
    assert float(np.max(layer(X))) == 255 / 256
    assert not layer.trainable_weights


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_the_grid_has_the_width_asked_for(bits):
    layer = ActivationQuantizer(bits=bits)
    x = np.random.default_rng(0).normal(size=(1, 5000)).astype(np.float32)
    assert len(np.unique(layer(x, training=True))) <= 2**bits


def test_a_range_can_be_set():
    layer = ActivationQuantizer()
    layer(X)
    layer.set_range(-2.0, 2.0)
    assert layer.observed and layer.range == (-2.0, 2.0)


def test_it_is_saved_with_its_range_and_phase(tmp_path):
    inputs = keras.Input((41,))
    layer = ActivationQuantizer(calibrator="min_max", name="range")
    model = keras.Model(inputs, layer(inputs))
    layer(X, training=True)
    layer.set_phase(Phase.FROZEN)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("range")
    assert loaded.phase is Phase.FROZEN
    assert loaded.range == layer.range
    assert loaded.get_config() == layer.get_config()


def test_half_precision_goes_in_and_comes_out():
    layer = ActivationQuantizer(dtype="mixed_float16")
    outputs = layer(keras.ops.cast(X, "float16"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert layer.minimum.dtype == "float32"


def test_a_graph_holds_the_step_of_the_grid():
    inputs = keras.Input((2,))
    quantizer = ActivationQuantizer(fixed_range=(0.0, 255.0))
    rounded, step = quantizer(inputs), quantizer.step_for(inputs)
    model = keras.Model(inputs, [rounded, step])
    assert step.shape == ()
    quantizer.set_phase(Phase.LEARNING)
    assert float(model(np.ones((1, 2)))[1]) == pytest.approx(1.0)
    asks = [quantizer.stores_nothing(call.kwargs) for call in trace(model).calls]
    assert sorted(asks) == [False, True]
