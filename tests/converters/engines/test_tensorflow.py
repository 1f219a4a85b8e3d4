import os
import signal

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters import tflite
from keras_compress.converters.engines import _converter_process
from keras_compress.converters.engines.tensorflow import Tensorflow, _sentence
from keras_compress.errors import ConversionError, InvalidArgumentError


def _recurrent(unroll):
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.LSTM(4, unroll=unroll, name="memory"),
            layers.Dense(2, name="out"),
        ]
    )


X = np.random.default_rng(0).normal(size=(12, 5, 3)).astype(np.float32)


@pytest.mark.verify("kills one TensorFlow and starts another")
def test_a_crash_of_the_converter_is_an_error_that_names_the_layer(monkeypatch):
    monkeypatch.setattr(tflite, "refuse_loops", lambda *_, **__: None)
    with pytest.raises(ConversionError, match="SIGSEGV.*calibrating.*'memory'.*unroll=True"):
        kc.convert(_recurrent(unroll=False), representative_dataset=X, rewrites=False)
    # This process lives, and the next conversion finds a healthy one.
    assert kc.convert(_recurrent(unroll=False), "float32").inspect().operators["WHILE"] == 1


def test_unrolled_it_converts():
    converted = kc.convert(_recurrent(unroll=True), representative_dataset=X, rewrites=False)
    names = converted.layer_names()
    from keras_compress.tflite import flatbuffer

    layers = [names.first(op) for op in flatbuffer.read(converted).operators]
    assert set(layers) == {"memory", "out"} and layers[-1] == "out"


def test_a_refusal_names_the_layers_of_the_operators(islands, island_samples):
    with pytest.raises(ConversionError, match="refused.*layers 'curve', 'norm'.*'ELU'") as caught:
        kc.convert(islands, "generic_int16x8", island_samples)
    assert "allow_float=('curve', 'norm')" in str(caught.value)
    # LiteRT has no SQUARED_DIFFERENCE of 16 bits: the trial run finds it before anybody ships it.
    with pytest.raises(ConversionError, match="does not run.*SQUARED_DIFFERENCE"):
        kc.convert(islands, "generic_int16x8", island_samples, allow_float=("curve", "norm"))


def test_a_timeout_ends_the_conversion(islands, island_samples):
    _converter_process.pool.end_idle()
    with pytest.raises(ConversionError, match="longer than 0.05 s.*timeout_s"):
        kc.convert(
            islands, representative_dataset=island_samples, engine=Tensorflow(timeout_s=0.05)
        )


@pytest.mark.parametrize("timeout_s", [0, -1])
def test_the_timeout_must_be_above_zero(timeout_s):
    with pytest.raises(InvalidArgumentError, match="timeout_s"):
        Tensorflow(timeout_s=timeout_s)


# The pool's own tests kill a child that starts quickly.
@pytest.mark.verify("starts TensorFlow in two more processes")
def test_a_process_that_was_killed_is_replaced_or_reported(islands):
    kc.convert(islands, "float32")
    (process,) = _converter_process.pool.idle
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(kc.convert(islands, "float32")) > 0


def test_progress_is_told_sample_by_sample(cnn, samples, monkeypatch):
    told = []
    monkeypatch.setattr(tflite.ProgressBar, "update", lambda self, *counts: told.append(counts))
    kc.convert(cnn, representative_dataset=samples, calibration_samples=30)
    assert told[-1] == (30, 30)


@pytest.mark.filterwarnings("ignore:kc.convert refuses these layers:UserWarning")
@pytest.mark.parametrize("kind", ["ELU", "cumsum"])
def test_a_refusal_says_the_rule_the_layer_and_a_way_out_that_leads_on(kind):
    """The way out of a contradiction of learned ranges names the operator without integers."""
    import keras
    from keras import layers

    inputs = keras.Input((5, 3))
    hidden = layers.Dense(4)(inputs)
    hidden = layers.ELU()(hidden) if kind == "ELU" else keras.ops.cumsum(hidden, axis=1)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten(name="flat")(hidden)))
    model = kc.calibrate(kc.compress(model, quantization="generic_int8"), X)
    with pytest.raises(ConversionError, match=r"layer.* 'flat'.*RESHAPE.*kc\.strip") as caught:
        kc.convert(model)
    text = str(caught.value)
    assert len(text) <= 600
    assert not any(part in text for part in ("loc(", "!quant", "fused[", "tfl.", "Traceback"))
    with pytest.raises(ConversionError, match=f"{kind.upper()}.*allow_float"):
        kc.convert(kc.strip(model), representative_dataset=X)


LOCATED = (
    '<unknown>:0: error: loc(fused[callsite(fused["Reshape:", "flat/Reshape@__inference_2"] at '
    'callsite(fused["PartitionedCall:", "PartitionedCall"]))]): \'tfl.reshape\' op quantization '
    "parameters violate the same scale constraint: !quant.uniform<i8:f32, 0.0155:-7> vs. "
    "!quant.uniform<i8:f32, 0.017:-128>\n<unknown>:0: note: loc(fused[]): called from\n"
)
SENTENCES = {
    LOCATED: "RESHAPE quantization parameters violate the same scale constraint.",
    LOCATED.replace("fused", "fused" * 900): (
        "RESHAPE quantization parameters violate the same scale constraint."
    ),
    "": "it gave no reason.",
    "Quantization to 16x8-bit is not supported for op: 'ELU'.": (
        "Quantization to 16x8-bit is not supported for op: 'ELU'."
    ),
}


@pytest.mark.parametrize("message", SENTENCES)
def test_a_message_of_the_converter_is_cut_to_its_sentence(message):
    assert _sentence(message) == SENTENCES[message]
