"""Recurrent layers that are no operator: each is refused in a sentence with a way out."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import ConversionError
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer

X = np.random.default_rng(0).normal(size=(32, 6, 3)).astype("float32")


def chain(*parts):
    return keras.Sequential([keras.Input((6, 3)), *parts, layers.Dense(2)])


def stateful():
    inputs = keras.Input(batch_shape=(1, 6, 3))
    return keras.Model(inputs, layers.LSTM(4, stateful=True, name="memory")(inputs))


def with_states():
    inputs = keras.Input((6, 3))
    _, hidden, _ = layers.LSTM(4, return_state=True, name="memory")(inputs)
    return keras.Model(inputs, hidden)


def with_initial_state():
    inputs = keras.Input((6, 3))
    state = layers.Dense(4)(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.LSTM(4, name="memory")(inputs, initial_state=[state] * 2))


def lstm(**options):
    return lambda: chain(layers.LSTM(4, name="memory", **options))


# What the message says, and the model.
REFUSED = {
    "operator for a GRU.*unroll=True": lambda: chain(layers.GRU(4, name="memory")),
    "operator for a SimpleRNN.*unroll=True": lambda: chain(layers.SimpleRNN(4, name="memory")),
    "operator for a GRU\\.": lambda: chain(layers.Bidirectional(layers.GRU(4), name="memory")),
    "operator for a GRUCell.*unroll": lambda: chain(layers.RNN(layers.GRUCell(4), name="memory")),
    "activation='relu'.*unroll=True": lstm(activation="relu"),
    "recurrent_activation='hard_sigmoid'.*unroll=True": lstm(recurrent_activation="hard_sigmoid"),
    "Masking.*Train it without": lambda: chain(layers.Masking(), layers.LSTM(4, name="memory")),
    "stateful=True.*stateful=False": stateful,
    "return_state=True.*unroll=True": with_states,
    "initial state.*unroll=True": with_initial_state,
}


@pytest.mark.parametrize("message", REFUSED)
def test_it_is_refused_before_the_conversion(message):
    with pytest.raises(ConversionError, match=f"'memory' would be a loop.*{message}") as caught:
        kc.convert(REFUSED[message](), "generic_int8", X)
    assert len(str(caught.value)) < 600


def test_targets_without_the_operator_and_switched_off_rewrites_are_named():
    model = lstm()()
    with pytest.raises(ConversionError, match="generic_int16x8.*unroll=True"):
        kc.convert(model, "generic_int16x8", X)
    with pytest.raises(ConversionError, match="rewrites=False.*unroll=True"):
        kc.convert(model, "generic_int8", X, rewrites=False)


def test_an_lstm_left_in_float_between_learned_ranges_is_refused_with_a_way_that_works():
    # As `kc.compress` made them before it trained quantization inside an LSTM.
    inputs = keras.Input((6, 3))
    rounded = ActivationQuantizer(name="range")(inputs)
    model = keras.Model(inputs, layers.LSTM(4, name="memory")(rounded))
    kc.calibrate(model, X)
    with pytest.raises(ConversionError, match=r"'memory'.*learned its ranges.*kc\.strip"):
        kc.convert(model, "generic_int8", X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The operator of LSTM")
        converted = kc.convert(kc.strip(model), "generic_int8", X)
    assert converted.rewritten == {"memory": "fused_lstm"}


@pytest.mark.parametrize("profile, rewrites", [("generic_int8", False), ("generic_int16x8", True)])
def test_without_the_operator_an_unrolled_layer_keeps_no_state(profile, rewrites):
    converted = kc.convert(chain(layers.LSTM(2, unroll=True)), profile, X, rewrites=rewrites)
    assert not converted.rewritten and not converted.warnings


def test_an_unrolled_layer_is_one_operator_too():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The operator of LSTM")
        converted = kc.convert(chain(layers.LSTM(2, unroll=True, name="memory")), "cortex_m4", X)
    assert converted.rewritten == {"memory": "fused_lstm"}
    (message,) = converted.warnings
    assert "'memory' keeps its state" in message and "rewrites=False" in message


def test_that_the_operator_keeps_its_state_is_said_once():
    model = chain(layers.LSTM(4, name="memory", dropout=0.2, recurrent_dropout=0.2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", category=UserWarning)
        converted = kc.convert(model, "generic_int8", X)
    (message,) = (str(w.message) for w in caught if w.category is UserWarning)
    assert (message,) == converted.warnings
    assert "'memory' keeps its state" in message and "reset_all_variables" in message
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = kc.build_firmware(converted).render()["model.h"]
    assert "MicroInterpreter::Reset()" in header
