"""A split LayerNormalization computes the same as Keras, and is restored by strip()."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.lowering.normalization_layers import NormalizationStep
from keras_compress.wrappers.phase import Phase, PhasedLayer


def _model(shape, **config):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layers.LayerNormalization(name="norm", **config)(inputs))
    random = np.random.default_rng(1)
    model.set_weights([random.normal(1, 0.5, weight.shape) for weight in model.get_weights()])
    return model, random.normal(1, 2, (8, *shape)).astype("float32")


@pytest.mark.parametrize("shape", [(6,), (5, 6), (3, 4, 6)])
@pytest.mark.parametrize("config", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_parts_answer_as_the_whole_does(shape, config):
    model, x = _model(shape, **config)
    expected = model(x, training=False)
    compressed = kc.compress(model, quantization=kc.Quantization())
    assert any(isinstance(layer, NormalizationStep) for layer in compressed.layers)
    for layer in compressed.layers:
        if isinstance(layer, PhasedLayer):
            layer.set_phase(Phase.OFF)
    np.testing.assert_allclose(compressed(x, training=False), expected, atol=1e-5)
    plain = kc.strip(compressed)
    assert plain.get_layer("norm").get_config() == model.get_layer("norm").get_config()
    np.testing.assert_array_equal(plain(x, training=False), expected)


def test_training_moves_gamma_and_beta():
    model, x = _model((5, 6))
    compressed = kc.compress(model, quantization=kc.Quantization())
    compressed.compile("sgd", "mse", run_eagerly=True)
    compressed.fit(x, x, verbose=0)
    trained = kc.strip(compressed).get_layer("norm").get_weights()
    for before, after in zip(model.get_layer("norm").get_weights(), trained, strict=True):
        assert not np.array_equal(before, after)


def test_a_variance_of_zero_leaves_ranges_finite():
    model, x = _model((5, 6))
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, np.concatenate([x, np.ones_like(x)]), method="min_max")
    assert np.isfinite(compressed(np.ones_like(x), training=True)).all()


def test_other_axes_stay_whole_and_are_named():
    model, _ = _model((5, 6), axis=1)
    with pytest.warns(UserWarning, match=r"norm \(LayerNormalization: it normalizes axes"):
        kc.compress(model, quantization=kc.Quantization())
