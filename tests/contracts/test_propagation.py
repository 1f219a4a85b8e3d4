"""What holds for every rule: a model with its layers stays right, whatever is removed.

The oracle is the whole model: once the weights of some channels are zero, removing them must
leave its outputs as they were.
"""

import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_compress.shrinking.constants import (
    folded_biases,
    free_groups,
    propagate_constants,
)
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.removal import remove
from keras_compress.shrinking.shrinking import shrink
from keras_compress.support import plugins
from tests.fixtures.tables import quickly

RULES = "keras_compress.shrinking.propagation"


def image(size=8, channels=3):
    return keras.Input((size, size, channels))


def head(inputs, x, pool=True):
    x = layers.GlobalAveragePooling2D()(x) if pool else layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def conv():
    x = image()
    return head(x, layers.Conv2D(8, 3, activation="relu")(layers.Conv2D(8, 3, padding="same")(x)))


def conv_1d():
    x = keras.Input((12, 2))
    y = layers.Conv1D(8, 3, dilation_rate=2, activation="gelu")(x)
    return keras.Model(x, layers.Dense(3)(layers.GlobalMaxPooling1D()(layers.Conv1D(6, 3)(y))))


def conv_3d():
    x = keras.Input((5, 5, 5, 2))
    y = layers.Conv3D(6, 2)(layers.Conv3D(8, 2, activation="relu")(x))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling3D()(y)))


def conv_by_groups():
    x = image()
    y = layers.Conv2D(32, 1)(x)
    y = layers.Conv2D(64, 3, groups=16, activation="relu")(y)
    return head(x, layers.Conv2D(6, 1)(y))


def conv_with_few_groups():
    x = image()
    y = layers.Conv2D(16, 1, activation="relu")(x)
    y = layers.Conv2D(24, 3, groups=2, activation="relu")(y)
    return head(x, layers.Conv2D(6, 1)(y))


def transposed_conv():
    x = image()
    y = layers.Conv2DTranspose(8, 3, strides=2, activation="relu")(layers.Conv2D(6, 1)(x))
    return head(x, layers.Conv2DTranspose(6, 2)(y))


def depthwise_conv():
    x = image()
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(layers.Conv2D(8, 1)(x))
    return head(x, layers.Conv2D(8, 1)(layers.ReLU()(y)))


def separable_conv():
    x = image()
    y = layers.SeparableConv2D(8, 3, depth_multiplier=2, activation="relu")(x)
    return head(x, layers.SeparableConv2D(8, 3)(y))


def dense():
    x = keras.Input((6,))
    y = layers.Dense(12, activation="tanh")(layers.Dense(16, activation="sigmoid")(x))
    return keras.Model(x, layers.Dense(3)(y))


def einsum_dense():
    x = keras.Input((5, 6))
    y = layers.EinsumDense("abc,cd->abd", (None, 12), bias_axes="d", activation="relu")(x)
    y = layers.EinsumDense("abc,cde->abde", (None, 4, 3), bias_axes="de")(y)
    y = layers.EinsumDense("abde,dec->abc", (None, 7), bias_axes="c")(y)
    return keras.Model(x, layers.EinsumDense("...c,cd->...d", (5, 2))(y))


def batch_normalization():
    x = image()
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(x)))
    y = layers.BatchNormalization(scale=False)(layers.Conv2D(8, 1)(y))
    return head(x, layers.BatchNormalization(center=False)(y))


def layer_normalization():
    x = keras.Input((5, 6))
    y = layers.LayerNormalization()(layers.Dense(12)(x))
    return keras.Model(x, layers.Dense(3)(layers.Dense(8, activation="relu")(y)))


def group_normalization():
    x = image()
    y = layers.GroupNormalization(4)(layers.Conv2D(16, 3)(x))
    y = layers.GroupNormalization(-1, scale=False, center=False)(layers.Conv2D(8, 1)(y))
    return head(x, layers.ReLU()(y))


def prelu():
    x = image()
    y = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 3)(x))
    return head(x, layers.PReLU()(layers.Conv2D(8, 1)(y)))


def elementwise():
    x = image()
    y = layers.Activation("hard_swish")(layers.Conv2D(8, 3)(x))
    y = layers.Dropout(0.5)(layers.LeakyReLU()(layers.Conv2D(8, 1)(y)))
    return head(x, ops.tanh(layers.Rescaling(2.0)(layers.ReLU(6)(y))))


def merge():
    x = image()
    trunk = layers.Conv2D(8, 1)(x)
    branch = layers.Conv2D(8, 3, padding="same", activation="relu")(trunk)
    y = layers.Add()([trunk, branch])
    other = layers.Conv2D(8, 3, padding="same")(y)
    y = layers.Maximum()([layers.Subtract()([y, other]), layers.Average()([y, branch])])
    return head(x, y * 0.5 + branch)


def squeeze_excite():
    x = image()
    y = layers.Conv2D(8, 3, activation="relu")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    return head(x, layers.Conv2D(8, 1)(layers.Multiply()([y, gate])))


def concatenate():
    x = image()
    first, second = layers.Conv2D(8, 1)(x), layers.Conv2D(6, 1, activation="relu")(x)
    y = layers.Concatenate()([first, x, second])
    y = layers.BatchNormalization()(y)
    return head(x, layers.Conv2D(8, 3)(ops.concatenate([y, first], axis=-1)))


def reshape():
    x = image()
    y = layers.Conv2D(12, 1, activation="relu")(x)
    y = layers.Reshape((64, 12))(y)
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Dense(8)(y))))


def channel_shuffle():
    x = image()
    y = layers.Conv2D(12, 1, activation="relu")(x)
    y = layers.Reshape((8, 8, 2, 6))(y)
    y = layers.Reshape((8, 8, 12))(layers.Permute((1, 2, 4, 3))(y))
    return head(x, layers.Conv2D(8, 3)(y))


def spatial():
    x = image()
    y = layers.ZeroPadding2D()(layers.MaxPooling2D(2)(layers.Conv2D(8, 1)(x)))
    y = layers.UpSampling2D()(layers.AveragePooling2D(2, padding="same")(y))
    y = layers.Resizing(5, 5)(layers.Cropping2D(1)(y))
    return head(x, layers.Conv2D(8, 1)(y))


def global_pooling():
    x = image()
    y = layers.GlobalMaxPooling2D(keepdims=True)(layers.Conv2D(8, 1)(x))
    return head(x, layers.Conv2D(8, 1)(y), pool=False)


def reduction():
    x = image()
    y = ops.mean(layers.Conv2D(8, 1, activation="relu")(x), axis=(1, 2))
    return keras.Model(x, layers.Dense(3)(layers.Dense(8)(y)))


def transpose():
    x = keras.Input((6, 4))
    y = layers.Permute((2, 1))(layers.Dense(8)(x))
    y = ops.squeeze(ops.expand_dims(ops.transpose(y, (0, 2, 1)), 1), 1)
    y = layers.Dense(3)(layers.Dense(8, activation="relu")(y))
    return keras.Model(x, layers.RepeatVector(2)(layers.GlobalAveragePooling1D()(y)))


def multi_head_attention():
    x = keras.Input((5, 6))
    y = layers.Dense(12)(x)
    y = layers.Add()([y, layers.MultiHeadAttention(4, 3)(y, y)])
    y = layers.MultiHeadAttention(3, 2, value_dim=5, output_shape=7)(y, layers.Dense(6)(x))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


def recurrent():
    x = keras.Input((5, 6))
    y = layers.GRU(8, return_sequences=True)(layers.LSTM(8, return_sequences=True)(x))
    return keras.Model(x, layers.Dense(3)(layers.SimpleRNN(8)(y)))


def bidirectional():
    x = keras.Input((5, 6))
    y = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    return keras.Model(x, layers.Dense(3)(layers.Bidirectional(layers.GRU(6))(y)))


def embedding():
    x = keras.Input((5,), dtype="int32")
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Embedding(10, 8)(x))))


def layer_scale():
    x = image()
    layer_scale_type = inspect.getmodule(keras.applications.ConvNeXtTiny).LayerScale
    y = layer_scale_type(0.5, 8)(layers.Conv2D(8, 1)(x))
    return head(x, layers.Conv2D(8, 1)(y))


def nested_and_shared():
    block = keras.Sequential([keras.Input((8,)), layers.Dense(8, activation="relu")], name="b")
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="c")
    first = layers.Dense(8, activation="relu")
    y = layers.Concatenate()([block(first(a)), block(first(b))])
    return keras.Model({"a": a, "c": b}, {"y": layers.Dense(3)(y), "z": layers.Dense(2)(y)})


SMALL_MODELS = [
    *(conv, conv_1d, conv_3d, conv_by_groups, conv_with_few_groups, transposed_conv),
    *(depthwise_conv, separable_conv, dense, einsum_dense, batch_normalization),
    *(layer_normalization, group_normalization, prelu, elementwise, merge, squeeze_excite),
    *(concatenate, reshape, channel_shuffle, spatial, global_pooling, reduction, transpose),
    *(multi_head_attention, recurrent, bidirectional, embedding, layer_scale),
    nested_and_shared,
]


def models(builds):
    return pytest.mark.parametrize("build", builds, ids=lambda build: build.__name__)


def a_third_of_the_models(first):
    """Every third one in the quick tests, from the given one on."""
    reason = "30 networks, each with all its channels' constants: 8 s"
    return models(quickly(SMALL_MODELS[first:] + SMALL_MODELS[:first], reason, every=3))


@pytest.fixture
def model(build):
    keras.utils.set_random_seed(7)
    model = build()
    rng = np.random.default_rng(7)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.path or "gamma" in weight.path else -0.5
        weight.assign(rng.uniform(low, 1.0, weight.shape))
    return model


def sample(model):
    rng = np.random.default_rng(3)
    return keras.tree.map_structure(
        lambda t: (
            rng.integers(0, 5, (2, *t.shape[1:])).astype(t.dtype)
            if "int" in str(t.dtype)
            else rng.normal(size=(2, *t.shape[1:])).astype("float32")
        ),
        model.input,
    )


def zero(graph, chosen):
    for slot in graph.slots:
        if "variance" not in slot.weight.path:
            array = np.moveaxis(np.asarray(slot.weight).copy(), slot.axis, 0)
            array[chosen[slot.groups]] = 0
            slot.weight.assign(np.moveaxis(array, 0, slot.axis))


def choose(graph, share):
    """Return a mask of about `share` of the prunable groups, never all of a set."""
    rng = np.random.default_rng(11)
    chosen = graph.prunable & (rng.random(graph.size) < share)
    for coupled in graph.coupled_channels:
        if graph.prunable[coupled].any():
            chosen[coupled[0]] = graph.prunable[coupled[0]]
            chosen[coupled[1:2]] = False
    return chosen


def assert_same(actual, expected):
    keras.tree.map_structure(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=2e-4, atol=2e-5), actual, expected
    )


def test_every_rule_has_a_small_model():
    built = {build.__name__ for build in SMALL_MODELS}
    assert set(plugins.names(RULES)) <= built


@models(SMALL_MODELS)
def test_removing_zero_channels_leaves_the_outputs(model):
    graph = DependencyGraph(model)
    chosen = choose(graph, 0.4)
    assert chosen.any()
    zero(graph, chosen)
    constants = propagate_constants(graph)
    free = free_groups(graph, constants)
    inexact = np.zeros(graph.size, bool)
    inexact[list(graph.inexact)] = True
    assert np.array_equal(free, chosen & ~inexact)
    smaller = remove(graph, ~free, folded_biases(graph, constants, ~free))
    assert_same(smaller(sample(model)), model(sample(model)))
    assert smaller.count_params() < model.count_params()


@a_third_of_the_models(first=0)
def test_constants_found_by_rule_are_what_the_model_computes(model):
    """Zero kernels alone: biases and shifts make constants, which are folded where they can be."""
    graph = DependencyGraph(model)
    chosen = choose(graph, 0.4)
    for slot in graph.slots:
        if not graph.is_read(slot) and len(slot.weight.shape) > 1:
            array = np.moveaxis(np.asarray(slot.weight).copy(), slot.axis, 0)
            array[chosen[slot.groups]] = 0
            slot.weight.assign(np.moveaxis(array, 0, slot.axis))
    constants = propagate_constants(graph)
    free = free_groups(graph, constants)
    smaller = remove(graph, ~free, folded_biases(graph, constants, ~free))
    assert_same(smaller(sample(model)), model(sample(model)))


@a_third_of_the_models(first=1)
def test_shrunk_model_is_saved_trained_and_has_the_same_outputs(model, tmp_path):
    smaller, report = shrink(model, parameters=0.7, return_report=True)
    assert smaller.count_params() == report.parameters[1] <= 0.7 * model.count_params()
    assert report.macs[1] == sum(DependencyGraph(smaller).macs().values())
    assert keras.tree.map_structure(lambda t: t.shape, smaller.output) == (
        keras.tree.map_structure(lambda t: t.shape, model.output)
    )
    x = sample(model)
    y = keras.tree.map_structure(np.zeros_like, smaller(x))
    smaller.save(tmp_path / "small.keras")
    custom = {
        kind.__name__: kind for kind in map(type, smaller.layers) if "applications" in f"{kind}"
    }
    again = keras.models.load_model(tmp_path / "small.keras", custom_objects=custom)
    assert_same(again(x), smaller(x))
    loss = keras.tree.map_structure(lambda _: "mse", smaller.output)
    smaller.compile("sgd", loss, run_eagerly=True, jit_compile=False)
    smaller.train_on_batch(x, y)
