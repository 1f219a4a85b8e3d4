"""LSTMs as one operator: the file, its grids, and its answers against those of Keras."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.converters.checks.base import EmittedFile
from keras_compress.converters.options import ConversionOptions
from keras_compress.converters.verification import read_back, verify
from keras_compress.evaluation import runtimes
from keras_compress.tflite import arena, flatbuffer, macs
from keras_compress.tflite.editor import pack, unpack

STEPS, CHANNELS, UNITS = 6, 3, 4
OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"


@pytest.fixture(autouse=True)
def seed():
    """Draw the same weights in each run: a layer draws its seed when it is made."""
    keras.utils.set_random_seed(0)


def chain(*parts):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((STEPS, CHANNELS)), *parts])


def samples(*shape, count=64):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32")


X = samples(STEPS, CHANNELS)


def convert(model, x=X, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The operator of LSTM")
        return kc.convert(model, "cortex_m4", x, **options)


def both_heads():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, CHANNELS))
    wide = layers.Flatten()(layers.Conv1D(4, 3)(inputs))
    last = layers.LSTM(UNITS, name="last")(inputs)
    deep = layers.LSTM(3)(layers.LSTM(UNITS, return_sequences=True)(inputs))
    return keras.Model(inputs, layers.Concatenate()([wide, last, deep]))


def siamese():
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((STEPS, CHANNELS), name=name) for name in ("left", "right")]
    shared = layers.LSTM(UNITS, name="shared")
    return keras.Model(inputs, layers.Dense(2)(layers.Subtract()([shared(i) for i in inputs])))


# Network -> number of LSTM operators.
NETWORKS = {
    "last": (lambda: chain(layers.LSTM(UNITS), layers.Dense(2)), 1),
    "stacked": (lambda: chain(layers.LSTM(UNITS, return_sequences=True), layers.LSTM(5)), 2),
    "backwards": (lambda: chain(layers.LSTM(UNITS, go_backwards=True, use_bias=False)), 1),
    "cell": (lambda: chain(layers.RNN(layers.LSTMCell(UNITS), return_sequences=True)), 1),
    "both ways": (
        lambda: chain(layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True))),
        2,
    ),
    "sum": (lambda: chain(layers.Bidirectional(layers.LSTM(UNITS), merge_mode="sum")), 2),
    "heads": (both_heads, 3),
    "siamese": (siamese, 2),
}


def sqnr_db(converted, model, x, runtime):
    expected = model.predict(x, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Samples beyond those of calibration may be clipped.
        result = kc.evaluate(
            converted, x, expected, baseline=model, runtime=runtime, latency_runs=0
        )
    return result.to_json()["output_error"]["sqnr_db"]


def quick_or_verify(name):
    slow = name != "last"
    mark = pytest.mark.verify("converts and runs one more network in two runtimes")
    return pytest.param(name, marks=[mark] if slow else [])


@pytest.mark.parametrize("name", [quick_or_verify(name) for name in NETWORKS])
def test_one_operator_a_direction_answers_as_keras_does(name):
    make, count = NETWORKS[name]
    # With these weights, samples that continue one another give ranges that are too narrow.
    keras.utils.set_random_seed(99)
    model = make()
    x = [X, X[::-1]] if len(model.inputs) > 1 else X
    converted = convert(model, x)
    operators = converted.inspect().operators
    assert operators[OPERATOR] == count and "WHILE" not in operators
    assert converted.inspect().float_tensors == 0
    for runtime in ("litert", "tflite_micro"):
        assert sqnr_db(converted, model, x, runtime) > 27, runtime


@pytest.mark.verify("converts 20 networks")
@pytest.mark.parametrize("seed", range(20))
def test_ranges_are_those_of_sequences_that_begin_anew(seed):
    keras.utils.set_random_seed(seed)
    model = NETWORKS["last"][0]()
    assert sqnr_db(convert(model), model, X, "litert") > 30


def test_the_operators_carry_the_names_of_their_layers():
    model = chain(
        layers.LSTM(UNITS, return_sequences=True, name="first"), layers.LSTM(3, name="second")
    )
    converted = convert(model)
    assert converted.rewritten == {"first": "fused_lstm", "second": "fused_lstm"}
    names = converted.layer_names()
    fused = [op for op in flatbuffer.read(converted).operators if op.name == OPERATOR]
    assert [names.first(op) for op in fused] == ["first", "second"]


def test_bytes_do_not_grow_with_the_steps():
    def network(steps):
        keras.utils.set_random_seed(0)
        return keras.Sequential([keras.Input((steps, CHANNELS)), layers.LSTM(UNITS)])

    short, long = (len(convert(network(n), samples(n, CHANNELS)).content) for n in (6, 60))
    assert long <= 1.01 * short


def test_a_batch_of_several_sequences():
    model = chain(layers.LSTM(UNITS), layers.Dense(2))
    converted = convert(model, batch_size=4)
    assert sqnr_db(converted, model, X, "litert") > 27


def test_each_sequence_begins_with_zeros_in_evaluation():
    model = chain(layers.LSTM(UNITS))
    converted = convert(model)
    there, back = (
        kc.evaluate(converted, x, baseline=model, latency_runs=0).to_json()["output_error"]["mse"]
        for x in (X, X[::-1])
    )
    assert there == pytest.approx(back)


def rising():
    """An LSTM whose cells rise far above 10, and end low."""
    model = keras.Sequential(
        [keras.Input((40, CHANNELS)), layers.LSTM(UNITS, return_sequences=True)]
    )
    random = np.random.default_rng(0)
    kernel, recurrent, bias = (
        0.02 * random.normal(size=w.shape) for w in model.layers[0].get_weights()
    )
    bias[: 2 * UNITS], bias[2 * UNITS :] = 8.0, 0.0
    kernel[0, 2 * UNITS : 3 * UNITS], kernel[1, 3 * UNITS :] = 3.0, 2.0
    x = np.abs(random.normal(size=(64, 40, CHANNELS))).astype("float32")
    x[:, 25:, 0] *= -1.2
    return model, [kernel, recurrent, bias], x


@pytest.mark.parametrize(
    "zeros", [pytest.param("none", marks=pytest.mark.verify("one more network")), "input gate"]
)
def test_cells_above_the_converters_clip_and_gates_without_weights(zeros):
    model, weights, x = rising()
    if zeros != "none":
        weights[0][:, :UNITS] = 0  # Only the bias is left, for which a weight gives the scale.
    model.layers[0].set_weights(weights)
    converted = convert(model, x)
    lstm = flatbuffer.read(converted).operators[0]
    assert lstm.options["cell_clip"] == 32 == lstm.inputs[19].scales[0] * 2**15
    for runtime in ("litert_reference", "tflite_micro"):
        assert sqnr_db(converted, model, x, runtime) > 35, runtime


def test_zeros_of_the_kernels_are_in_the_gates():
    keras.utils.set_random_seed(0)
    model = chain(layers.LSTM(16, name="memory"))
    kernel, recurrent, bias = model.layers[0].get_weights()
    for weights in (kernel, recurrent):
        weights[np.abs(weights) < np.quantile(np.abs(weights), 0.7)] = 0
    model.layers[0].set_weights([kernel, recurrent, bias])
    converted = convert(model)
    (lstm,) = (op for op in flatbuffer.read(converted).operators if op.name == OPERATOR)
    gates = [*np.split(kernel.T, 4), *np.split(recurrent.T, 4)]
    for tensor, gate in zip(lstm.inputs[1:9], gates, strict=True):
        assert not tensor.data[gate == 0].any()
    # The check looks at each position: an array with one more zero is not in the file.
    from keras_compress.converters.promises import ExpectedZeros

    more = gates[0] == 0
    more[np.unravel_index(np.abs(gates[0]).argmax(), more.shape)] = True
    options = ConversionOptions()
    emitted = read_back(
        converted, options, scopes=converted.scopes, zeros=[ExpectedZeros("memory", more)]
    )
    assert [finding.code for finding in verify(emitted)] == ["lost_zeros"]


def broken(content, change):
    """Return what the checks say of a file after a change to its LSTM and its tensors."""
    model = unpack(content)
    (graph,) = model.subgraphs
    change(next(op for op in graph.operators if len(op.inputs) > 20), graph.tensors)
    emitted: EmittedFile = read_back(pack(model), ConversionOptions())
    return " ".join(map(str, verify(emitted)))


def set_scale(position, factor):
    def change(operator, tensors):
        quantization = tensors[operator.inputs[position]].quantization
        quantization.scale = np.float32(quantization.scale * factor)

    return change


def set_zero_point(operator, tensors):
    tensors[operator.inputs[2]].quantization.zeroPoint = np.array([1])


@pytest.fixture(scope="module")
def converted_lstm():
    return convert(chain(layers.LSTM(UNITS))).content


def test_reader_arena_and_verdict_understand_the_operator(converted_lstm):
    model = flatbuffer.read(converted_lstm)
    lstm = model.operators[0]
    assert len(lstm.intermediates) == 5 and not any(t.size for t in lstm.intermediates)
    assert macs.count(lstm) == STEPS * 4 * UNITS * (CHANNELS + UNITS)
    with runtimes.open_file(converted_lstm, "tflite_micro") as opened:
        opened.run([np.zeros((1, STEPS, CHANNELS), np.int8)])
        measured = opened.arena()
    estimate = arena.estimate(model)
    assert estimate.head == measured["head_bytes"]
    assert measured["tail_bytes"] <= estimate.tail <= 1.2 * measured["tail_bytes"]
    for profile in ("generic_int8", "cortex_m4", "rp2040", "ethos_u85_256", "coral_edgetpu"):
        assert kc.check(converted_lstm, profile).verdict == "runs", profile


BREAKS = {
    "zero point 0": set_zero_point,
    "input scale x weight scale": set_scale(13, 1.01),
    "power of two": set_scale(19, 1.5),
    "different grids": set_scale(18, 1.5),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_file_whose_grids_are_not_those_of_the_kernels_is_refused(rule, converted_lstm):
    assert not verify(read_back(converted_lstm, ConversionOptions()))
    assert rule in broken(converted_lstm, BREAKS[rule])
