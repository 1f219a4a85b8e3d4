"""Ranges are placed on exactly the tensors that the TFLite file stores."""

import keras
import pytest
from keras import layers

from keras_compress.graph.graph import trace
from keras_compress.lowering.lower import lower
from keras_compress.quantization.range_placement import foldable_batch_norm, place_ranges

SOFTMAX = (0.0, 255 / 256)


def placed(body, shape=(8, 8, 4)):
    """Return {layer name: range} of a model, its placement and its graph; inputs are `input`."""
    inputs = keras.Input(shape, name="input")
    graph = lower(trace(keras.Model(inputs, body(inputs))))
    placement = place_ranges(graph)
    names = {}
    for value, choice in placement.ranges.items():
        names[value.producer.name if value.producer else "input"] = choice
    return names, placement, graph


def conv_norm_relu(x):
    x = layers.Conv2D(4, 3, name="conv")(x)
    return layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))


def test_conv_norm_and_relu_are_one_operator():
    names, placement, _ = placed(conv_norm_relu)
    assert set(names) == {"input", "relu"}
    assert [(call.name, norm.name) for call, norm in placement.folded.items()] == [("conv", "norm")]
    assert names["relu"].non_negative and not names["input"].non_negative


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(4, 3, activation="relu"), True),
        (layers.ReLU(max_value=6), True),
        (layers.ReLU(negative_slope=0.1), False),
        (layers.Conv2D(4, 3, activation="tanh"), False),
    ],
    ids=["fused", "relu6", "leaky", "tanh"],
)
def test_what_a_relu_gives_is_never_negative(layer, expected):
    names, _, graph = placed(layer)
    (output,) = graph.flat_outputs
    assert names[output.producer.name].non_negative is expected


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Flatten(), (4, 4, 2)),
        (layers.Reshape((32,)), (4, 4, 2)),
        (layers.MaxPooling2D(), (4, 4, 2)),
        (layers.Dropout(0.5), (4, 4, 2)),
        (layers.ZeroPadding2D(), (4, 4, 2)),
        (layers.UpSampling2D(), (4, 4, 2)),
    ],
)
def test_layers_that_pass_values_on_keep_their_inputs_range(layer, shape):
    names, *_ = placed(lambda x: layer(x), shape)
    assert set(names) == {"input"}


def test_average_pooling_and_resizing_share_their_inputs_range():
    names, *_ = placed(lambda x: layers.AveragePooling2D(2, name="pool")(x))
    assert names["pool"].tied_to is not None and names["pool"].averages
    names, *_ = placed(lambda x: layers.UpSampling2D(interpolation="bilinear", name="up")(x))
    assert names["up"].tied_to is not None and not names["up"].averages
    names, *_ = placed(lambda x: layers.GlobalAveragePooling2D(name="mean")(x))
    assert names["mean"].tied_to is None


def test_activations_that_fix_their_scale():
    names, *_ = placed(lambda x: layers.Dense(3, activation="softmax", name="head")(x), (4,))
    assert names["head"].fixed is None
    assert names["head_activation"].fixed == SOFTMAX
    names, *_ = placed(lambda x: layers.Activation("tanh", name="tanh")(x), (4,))
    assert names["tanh"].fixed == (-1.0, 127 / 128)


def test_a_residual_sum_has_a_range_and_takes_its_relu_in():
    def body(x):
        x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
        y = layers.Conv2D(4, 3, padding="same", name="branch")(x)
        return layers.ReLU(name="relu")(layers.Add(name="sum")([x, y]))

    names, *_ = placed(body)
    assert set(names) == {"input", "conv", "branch", "relu"}


def test_concatenated_tensors_share_the_range_of_the_result():
    def body(x):
        sides = [layers.Conv2D(2, 1, name=name)(x) for name in ("left", "right")]
        return layers.Concatenate(name="both")(sides)

    names, *_ = placed(body)
    assert set(names) == {"input", "both"}


def test_a_tensor_that_others_read_too_keeps_its_own_range():
    def body(x):
        x = layers.Conv2D(4, 1, name="conv")(x)
        return [layers.ReLU(name="relu")(x), layers.MaxPooling2D(name="pool")(x)]

    names, *_ = placed(body)
    assert "conv" in names and "pool" not in names


def test_squeeze_and_excite_has_a_range_at_each_product():
    def body(x):
        scale = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
        scale = layers.Conv2D(4, 1, activation="sigmoid", name="excite")(scale)
        return layers.Multiply(name="scaled")([x, scale])

    names, *_ = placed(body)
    assert set(names) == {"input", "squeeze", "excite", "excite_activation", "scaled"}


def test_lookups_lie_on_the_grid_of_their_table():
    inputs = keras.Input((5,), dtype="int32", name="input")
    outputs = layers.Dense(2, name="head")(layers.Flatten()(layers.Embedding(9, 3)(inputs)))
    placement = place_ranges(lower(trace(keras.Model(inputs, outputs))))
    assert [value.producer.name for value in placement.ranges] == ["head"]


@pytest.mark.parametrize(
    "body",
    [
        lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1, activation="relu")(x)),
        lambda x: [y := layers.Conv2D(4, 1)(x), layers.BatchNormalization()(y)],
        lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(8, 1)(x)),
        lambda x: layers.BatchNormalization()(layers.MaxPooling2D()(x)),
    ],
    ids=["activation", "output", "axis", "no kernel"],
)
def test_normalizations_that_cannot_be_folded(body):
    _, placement, graph = placed(body)
    assert not placement.folded
    assert all(foldable_batch_norm(graph, call) is None for call in graph.calls)


def test_a_normalization_that_two_kernels_share_is_not_folded():
    def body(x):
        norm = layers.BatchNormalization()
        return [norm(layers.Conv2D(4, 1)(x)), norm(layers.Conv2D(4, 1)(x))]

    assert not placed(body)[1].folded


def test_unknown_layers_are_reported_and_their_outputs_have_ranges():
    names, placement, _ = placed(lambda x: layers.LSTM(3, name="memory")(x), (5, 4))
    assert [call.name for call in placement.unknown] == ["memory"]
    assert set(names) == {"input", "memory"}


def test_integer_tensors_have_no_range():
    inputs = keras.Input((4,), dtype="int32")
    placement = place_ranges(lower(trace(keras.Model(inputs, layers.Flatten()(inputs)))))
    assert not placement.ranges
