"""Ranges that training never observed: measured from the samples, or refused without them."""

import contextlib
import warnings

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import ConversionError
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.phase import Phase

X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
MESSAGE = "never observed in training, so they are measured in representative_dataset"


def model(quantization="generic_int8"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    float_model = keras.Model(inputs, keras.layers.Dense(3, name="head")(x))
    compressed = kc.compress(float_model, quantization=quantization)
    compressed.compile("sgd", "mse", run_eagerly=True)
    return float_model, compressed


@contextlib.contextmanager
def said():
    """Collect the warnings of this package; pytest.warns would raise those of Keras again."""
    messages = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield messages
    messages.extend(w for w in caught if w.category is UserWarning)


def quantizers(compressed):
    return [layer for layer in compressed.layers if isinstance(layer, ActivationQuantizer)]


@pytest.fixture(scope="module")
def trained():
    """Trained for less than its schedule."""
    float_model, compressed = model()
    callback = kc.QuantizationCallback(begin_step=2000)
    with said() as messages:
        compressed.fit(X, np.zeros((64, 3)), verbose=0, callbacks=[callback])
    assert "quantization begins at step 2000" in str(messages[0].message)
    return float_model, compressed


def test_samples_give_the_ranges_and_a_warning_says_so(trained):
    _, compressed = trained
    with said() as messages:
        converted = kc.convert(compressed, "generic_int8", X)
    assert messages[0].filename == __file__
    assert MESSAGE in str(messages[0].message)
    assert MESSAGE in converted.warnings[0]
    plain = kc.evaluate(converted, X, baseline=kc.strip(compressed), latency_runs=0)
    assert plain.output_error["sqnr_db"] > 25


def test_the_model_itself_stays_as_it_was(trained):
    _, compressed = trained
    with said():
        kc.convert(compressed, "generic_int8", X)
    assert {layer.phase for layer in quantizers(compressed)} == {Phase.OFF}
    assert not any(layer.observed for layer in quantizers(compressed))


def test_without_samples_it_is_refused(trained):
    _, compressed = trained
    with pytest.raises(ConversionError, match="Quantization of .* has not begun"):
        kc.convert(compressed, "generic_int8")


def test_learned_ranges_stay():
    _, compressed = model()
    kc.calibrate(compressed, X)
    first, *others = quantizers(compressed)
    learned = [layer.range for layer in others]
    first.count.assign(0.0)
    with said() as messages:
        converted = kc.convert(compressed, "generic_int8", 3 * X)
    assert str(messages[0].message).startswith("1 activation ranges of ")
    scales = [tensor["scales"][0] for tensor in converted.inspect().tensors if tensor["scales"]]
    for low, high in learned:
        step = (max(high, 0) - min(low, 0)) / 255
        assert np.isclose(scales, step, rtol=1e-3).any()
    assert np.isclose(scales, 3 * np.ptp(X) / 255, rtol=1e-3).any()


def test_ranges_that_were_set_before_a_training_without_quantization_are_measured_anew(trained):
    _, compressed = model()
    kc.calibrate(compressed, X)
    for layer in compressed.layers:
        if isinstance(layer, ActivationQuantizer):
            layer.set_phase(Phase.OFF)
    with said():
        converted = kc.convert(compressed, "generic_int8", 3 * X)
    scales = [tensor["scales"][0] for tensor in converted.inspect().tensors if tensor["scales"]]
    assert np.isclose(scales, 3 * np.ptp(X) / 255, rtol=1e-3).any()


def test_nothing_is_said_when_nothing_is_missing():
    _, compressed = model()
    kc.calibrate(compressed, X)
    assert not kc.convert(compressed, "generic_int8", X).warnings
