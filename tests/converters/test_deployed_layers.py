"""What scales each channel and adds to it is one integer operator in the file, as in Keras."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.evaluation import runtimes
from keras_compress.evaluation.quantization import dequantize, quantize
from keras_compress.tflite import flatbuffer

RESCALINGS = {
    "to -1 and 1": {"scale": 1 / 127.5, "offset": -1.0},
    "by channel": {"scale": [1 / 58.0, 1 / 57.0, 1 / 58.4], "offset": [-2.1, -2.0, -1.8]},
    "without offset": {"scale": 1 / 255},
}


OTHER_SHAPE = pytest.mark.verify("calibrates and converts each choice again, of the other shape")
SHAPES = [
    pytest.param(shape, choice, marks=OTHER_SHAPE if (i + k) % 2 else ())
    for i, choice in enumerate(RESCALINGS)
    for k, shape in enumerate([(6, 6, 3), (5, 3)])
]


@pytest.mark.parametrize(("shape", "choice"), SHAPES)
def test_rescaled_inputs_are_one_operator_and_answer_alike(choice, shape):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(0, 255, (60, *shape)).astype("float32")
    rescaling = layers.Rescaling(**RESCALINGS[choice], name="rescaling")
    model = keras.Sequential([keras.Input(shape), rescaling, layers.Flatten(), layers.Dense(4)])
    model = kc.calibrate(kc.compress(model, quantization="generic_int8"), x)
    converted = kc.convert(model)
    kinds = [op.name for op in flatbuffer.read(converted).operators if op.name != "RESHAPE"]
    assert kinds == ["DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
    step = model.layers[-1].step
    # Zero is no grid point between -1 and 1, so whole numbers end midway between two.
    result = kc.evaluate(converted, x, np.asarray(model(x)), metrics=["mae"], latency_runs=0)
    assert result.model.metrics["mae"] < 0.2 * float(step)


MERGED_WITH_ITSELF = {
    "Multiply": (lambda x: layers.Multiply()([x, x]), "MUL"),
    "product": (lambda x: x * x, "MUL"),
    "power": (lambda x: x**2, "MUL"),
    "square": (keras.ops.square, "MUL"),
    "Add": (lambda x: layers.Add()([x, x]), "ADD"),
    "sum": (lambda x: x + x, "ADD"),
}
BEFORE = {
    "Conv1D": (lambda: layers.Conv1D(4, 5), (16, 1)),
    "Conv1D and ReLU": (lambda: layers.Conv1D(4, 5, activation="relu"), (16, 1)),
    "Dense": (lambda: layers.Dense(8), (16,)),
    "Dense of a sequence": (lambda: layers.Dense(8), (16, 2)),
    "Conv2D": (lambda: layers.Conv2D(4, 3), (8, 8, 1)),
}


# Every layer, operation and engine once.
QUICK = [
    ("Conv1D", ("Multiply", "sum"), "tensorflow"),
    ("Conv1D and ReLU", ("product", "Add"), "litert"),
    ("Dense", ("power", "sum"), "litert"),
    ("Dense of a sequence", ("square", "Add"), "tensorflow"),
    ("Conv2D", ("square", "sum"), "litert"),
]


@pytest.mark.parametrize(("layer", "merges", "engine"), QUICK)
def test_a_tensor_merged_with_itself_is_an_integer_operator(layer, merges, engine):
    """Each operation behind a layer of its own; Keras' simulation decides."""
    assert_merges_are_integer(layer, merges, engine)


@pytest.mark.verify("compresses and converts six operations behind each layer, by both engines")
@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
@pytest.mark.parametrize("layer", BEFORE)
def test_every_operation_behind_every_layer_is_an_integer_operator(layer, engine):
    assert_merges_are_integer(layer, tuple(MERGED_WITH_ITSELF), engine)


def assert_merges_are_integer(layer, merges, engine):
    keras.utils.set_random_seed(0)
    make, shape = BEFORE[layer]
    x = np.random.default_rng(0).normal(size=(60, *shape)).astype("float32")
    image = keras.Input(shape)
    functions, operators = zip(*(MERGED_WITH_ITSELF[name] for name in merges), strict=True)
    outputs = [layers.Dense(2)(layers.Flatten()(merge(make()(image)))) for merge in functions]
    model = kc.calibrate(kc.compress(keras.Model(image, outputs), quantization="generic_int8"), x)
    converted = kc.convert(model, engine=engine)
    kinds = [op.name for op in flatbuffer.read(converted).operators]
    for kind in ("MUL", "ADD"):
        assert kinds.count(kind) == operators.count(kind)
    expected = [keras.ops.convert_to_numpy(y) for y in model(x)]
    steps = [float(quantizer.step) for quantizer in model.layers[-len(outputs) :]]
    answers = converted_outputs(converted, x)
    for own, other, step in zip(answers, expected, steps, strict=True):
        assert np.abs(own - other).max() < 2.5 * step


def converted_outputs(converted, x):
    with runtimes.open_file(converted, "litert_reference") as opened:
        (source,) = opened.inputs
        rows = quantize(x, source.scale, source.zero_point, source.dtype)
        batches = [opened.run([row[None]]) for row in rows]
        return [
            dequantize(np.concatenate(values), result.scale, result.zero_point)
            for values, result in zip(zip(*batches, strict=True), opened.outputs, strict=True)
        ]
