"""Recurrent layers that no integer file can hold as trained are refused before the training."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnsupportedModelError
from keras_compress.wrappers.compressed_lstm import CompressedLstm


def chain(*parts):
    return keras.Sequential([keras.Input((6, 3)), *parts])


def lstm(**options):
    return lambda: chain(layers.LSTM(4, name="memory", **options))


def with_states():
    inputs = keras.Input((6, 3))
    return keras.Model(inputs, layers.LSTM(4, return_state=True, name="memory")(inputs)[1])


def averaged():
    return chain(layers.Bidirectional(layers.LSTM(4), merge_mode="ave", name="memory"))


# What the message says, and the model.
REFUSED = {
    "operator for a GRU": lambda: chain(layers.GRU(4, name="memory")),
    "operator for a SimpleRNN": lambda: chain(layers.SimpleRNN(4, name="memory")),
    "operator for a StackedRNNCells": lambda: chain(
        layers.RNN([layers.LSTMCell(4), layers.LSTMCell(4)], name="memory")
    ),
    "activation='relu'": lstm(activation="relu"),
    "activation='relu' ": lstm(activation="relu", unroll=True),
    "Masking": lambda: chain(layers.Masking(), layers.LSTM(4, name="memory")),
    "return_state=True": with_states,
    "merge_mode='ave'": averaged,
    "constraints": lstm(kernel_constraint="max_norm"),
    "regularizer": lstm(kernel_regularizer=keras.regularizers.OrthogonalRegularizer()),
    "activity_regularizer": lstm(activity_regularizer="l2"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_it_is_refused_in_a_sentence_with_a_way_out(reason):
    message = f"inside layer 'memory': .*{reason}.*kc.strip\\(model\\)"
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        kc.compress(REFUSED[reason](), quantization="generic_int8")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_can_be_pruned_and_stay_in_float_elsewhere(reason):
    model = REFUSED[reason]()
    kc.compress(model, pruning=kc.Pruning())
    with pytest.warns(UserWarning, match="stay in float"):
        kc.compress(model, quantization="dynamic_range")


def test_an_lstm_with_16_bit_activations_is_refused():
    with pytest.raises(UnsupportedModelError, match="16-bit activations"):
        kc.compress(lstm()(), quantization="generic_int16x8")


def test_an_unrolled_gru_stays_in_float_and_is_quantized_at_conversion():
    model = chain(layers.GRU(4, unroll=True, name="memory"))
    with pytest.warns(UserWarning, match="memory .*stay in float"):
        kc.compress(model, quantization="generic_int8")


def test_narrow_weights_are_refused_by_name():
    bits = kc.Quantization(weight_bits={"memory": 4})
    with pytest.raises(InvalidArgumentError, match="8 bits.*'memory'"):
        kc.compress(lstm()(), quantization=bits)


def test_both_directions_are_chosen_by_the_name_of_the_layer():
    model = chain(layers.Bidirectional(layers.LSTM(4), name="memory"))
    there = kc.compress(model, pruning={"memory": kc.Pruning()}, quantization="generic_int8")
    wrappers = [layer for layer in there.layers if isinstance(layer, CompressedLstm)]
    assert [len(wrapper.prunable_kernels) for wrapper in wrappers] == [8, 8]


def test_a_predicate_sees_the_layer_that_the_user_has():
    pruning = kc.Pruning(layers=lambda layer: isinstance(layer, keras.layers.LSTM))
    there = kc.compress(lstm()(), pruning=pruning, quantization="generic_int8")
    assert len(there.get_layer("memory").prunable_kernels) == 8


def test_an_excluded_layer_keeps_its_weights_and_rounds_its_state():
    settings = kc.Quantization(layers=lambda layer: layer.name != "memory")
    model = lstm()()
    there = kc.compress(model, quantization=settings)
    x = np.random.default_rng(0).normal(size=(16, 6, 3)).astype("float32")
    kc.calibrate(there, x)
    wrapper = there.get_layer("memory")
    kernel = keras.ops.convert_to_numpy(wrapper.effective_kernel(wrapper.kernels[0]))
    np.testing.assert_array_equal(kernel, model.get_weights()[0][:, :4])
    outputs = keras.ops.convert_to_numpy(there(x))
    assert not np.allclose(outputs, model(x), atol=1e-6)
    np.testing.assert_allclose(outputs, model(x), atol=0.05)
