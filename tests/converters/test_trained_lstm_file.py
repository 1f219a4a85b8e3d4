"""LSTMs with learned ranges: one operator each, which holds and answers what was trained."""

import functools
import importlib
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.evaluation import runtimes
from keras_compress.graph.graph import all_layers
from keras_compress.tflite import flatbuffer
from keras_compress.wrappers.compressed_lstm import CompressedLstm

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
movements = importlib.import_module("recurrent").movements

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
STEPS, CHANNELS = 6, 3
X = np.random.default_rng(0).normal(size=(200, STEPS, CHANNELS)).astype("float32")


def chain(*parts):
    return keras.Sequential([keras.Input((STEPS, CHANNELS)), *parts])


def heads():
    inputs = keras.Input((STEPS, CHANNELS))
    local = layers.Conv1D(4, 3, activation="relu")(inputs)
    both = [layers.LSTM(5, name="after")(local), layers.LSTM(6, name="beside")(inputs)]
    return keras.Model(inputs, layers.Dense(4)(layers.Concatenate()(both)))


def siamese():
    inputs = [keras.Input((STEPS, CHANNELS), name=name) for name in ("left", "right")]
    shared = layers.LSTM(4, name="shared")
    return keras.Model(inputs, layers.Dense(4)(layers.Subtract()([shared(i) for i in inputs])))


# Network -> number of LSTM operators.
NETWORKS = {
    "stacked": (
        lambda: chain(
            layers.LSTM(6, return_sequences=True, unroll=True),
            layers.LSTM(5, go_backwards=True, use_bias=False),
        ),
        2,
    ),
    "both ways": (
        lambda: chain(layers.Bidirectional(layers.LSTM(4, return_sequences=True))),
        2,
    ),
    "sum": (lambda: chain(layers.Bidirectional(layers.LSTM(4), merge_mode="sum")), 2),
    "heads": (heads, 2),
    "siamese": (siamese, 2),
}


def calibrated(make, x=X, profile="generic_int8"):
    model = make()
    random = np.random.default_rng(2)
    model.set_weights([0.7 * random.normal(size=w.shape) for w in model.get_weights()])
    return kc.calibrate(kc.compress(model, quantization=profile), x)


def convert(model, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The operator of LSTM")
        return kc.convert(model, "generic_int8", **options)


def integers(values, tensor):
    scaled = np.round(values / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(scaled, -128, 127).astype(np.int8)


def agreement(model, converted, arrays, runtime):
    """Return the share of equal labels, and of identical integers, of model and file."""
    file = flatbuffer.read(converted)
    expected = model.predict(arrays if len(arrays) > 1 else arrays[0], verbose=0)
    with runtimes.open_file(converted.content, runtime) as opened:
        inputs = [integers(x, t) for x, t in zip(arrays, file.inputs, strict=True)]
        (answers,) = opened.run(inputs)
    labels = np.mean(answers.argmax(-1) == expected.argmax(-1))
    return labels, np.mean(answers == integers(expected, file.outputs[0]))


def operators(converted):
    return [op for op in flatbuffer.read(converted).operators if op.name == OPERATOR]


@pytest.mark.verify("calibrates, converts and runs five networks")
@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_is_one_operator_that_answers_as_the_model_does(name, engine):
    make, count = NETWORKS[name]
    arrays = [X, X[::-1]] if name == "siamese" else [X]
    model = calibrated(make, arrays if len(arrays) > 1 else X)
    converted = convert(model, engine=engine)
    counts = converted.inspect().operators
    assert counts[OPERATOR] == count and converted.inspect().float_tensors == 0
    for runtime in ("litert", "tflite_micro"):
        labels, identical = agreement(model, converted, arrays, runtime)
        # LiteRT takes sigmoid and tanh from tables of their own, so that integers differ by one.
        assert labels >= 0.97 and identical >= 0.8, runtime


@functools.cache
def pruned():
    """Return a calibrated LSTM with zeros, and its file."""
    model = chain(layers.LSTM(6, return_sequences=True, name="memory"))
    random = np.random.default_rng(2)
    model.set_weights([0.7 * random.normal(size=w.shape) for w in model.get_weights()])
    model = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    wrapper = model.get_layer("memory")
    for prunable in wrapper.prunable_kernels:
        prunable.mask.assign(random.uniform(size=prunable.mask.shape) > 0.7)
    return kc.calibrate(model, X), convert(model)


def test_weights_biases_and_grids_are_those_that_were_trained():
    model, converted = pruned()
    wrapper: CompressedLstm = model.get_layer("memory")
    ranges = {layer.name: layer for layer in all_layers(model)}
    (operator,) = operators(converted)
    for tensor, kernel in zip(operator.inputs[1:9], wrapper.kernels, strict=True):
        (step,) = np.ravel(wrapper.scale(kernel))
        trained = keras.ops.convert_to_numpy(wrapper.effective_kernel(kernel)).T
        np.testing.assert_allclose(tensor.scales, [step], rtol=1e-6)
        np.testing.assert_allclose(tensor.data * step, trained, rtol=0, atol=1e-5)
        assert (tensor.data == 0).mean() > 0.6
    low, high = ranges["memory_range"].range
    for tensor in (operator.outputs[0], operator.inputs[18], operator.intermediates[-1]):
        np.testing.assert_allclose(tensor.scales, [(high - low) / 255], rtol=1e-5)
    limit = float(wrapper.cell_range.limit)
    assert operator.inputs[19].scales[0] * 2**15 == limit == operator.options["cell_clip"]
    biases = [tensor.data * tensor.scales[0] for tensor in operator.inputs[12:16]]
    trained = keras.ops.convert_to_numpy(wrapper.layer.bias)
    np.testing.assert_allclose(np.concatenate(biases), trained, rtol=0, atol=1e-3)


def test_the_file_names_its_layer_and_says_that_it_keeps_a_state():
    _, converted = pruned()
    (operator,) = operators(converted)
    assert converted.layer_names().first(operator) == "memory"
    assert "'memory' keeps its state" in " ".join(converted.warnings)
    assert kc.check(converted, "cortex_m4").verdict == "runs"


def test_the_operator_alone_agrees_with_the_model():
    model, converted = pruned()
    for runtime in ("litert", "tflite_micro"):
        _, identical = agreement(model, converted, [X], runtime)
        assert identical >= 0.95, runtime


@pytest.mark.verify("trains a network until it answers well")
@pytest.mark.parametrize("runtime", ["litert", "tflite_micro"])
def test_after_training_labels_and_integers_agree(runtime):
    model, converted, x = trained()
    labels, identical = agreement(model, converted, [x], runtime)
    assert labels >= 0.995
    assert identical >= 0.95
    zeros = [(tensor.data == 0).mean() for op in operators(converted) for tensor in op.inputs[1:9]]
    assert min(zeros) >= 0.65


@functools.cache
def trained():
    """Return a trained model of two LSTMs with 70 % zeros, its file, and test series."""
    random = np.random.default_rng(0)
    (x, y), (x_test, y_test) = (movements(count, 12, random) for count in (1500, 1000))
    body = [layers.LSTM(12, return_sequences=True), layers.LSTM(12)]
    head = layers.Dense(4, activation="softmax")
    model = kc.compress(
        keras.Sequential([keras.Input((12, 3)), *body, head]),
        pruning=kc.Pruning(),
        quantization="generic_int8",
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    callbacks = [
        kc.PruningCallback(kc.PolynomialDecay(0.7, end_step=120, frequency=10)),
        kc.QuantizationCallback(begin_step=120, freeze_step=210),
    ]
    model.fit(x, y, batch_size=50, epochs=10, verbose=0, callbacks=callbacks)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.9
    return model, convert(model), x_test
