"""A lowered graph contains each tensor of the file, and computes the same result."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_compress.graph import graph as graphs
from keras_compress.graph.replay import rebuild
from keras_compress.lowering.lower import lower

X = np.random.default_rng(0).normal(size=(3, 6, 6, 4)).astype(np.float32)


def lowered(*stack):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(X.shape[1:]), *stack])
    graph = lower(graphs.trace(model))
    return model, graph, [type(call.operation).__name__ for call in graph.calls]


def replay(graph):
    def apply(call, args, kwargs):
        return args[0] if isinstance(call, graphs.Value) else call.operation(*args, **kwargs)

    return rebuild(graph, apply)


@pytest.mark.parametrize(
    ("stack", "names"),
    [
        ([layers.Conv2D(2, 3, activation="relu")], ["Conv2D"]),
        ([layers.Conv2D(2, 3, activation="relu6")], ["Conv2D"]),
        ([layers.Dense(2, activation="softmax")], ["Dense", "InnerActivation"]),
        ([layers.Conv2D(2, 3, activation="tanh")], ["Conv2D", "InnerActivation"]),
        ([layers.Conv2D(2, 3, activation="silu")], ["Conv2D", "Activation", "SiluProduct"]),
        ([layers.Activation("silu")], ["Activation", "SiluProduct"]),
        ([layers.SeparableConv2D(3, 3)], ["DepthwiseConv2D", "Conv2D"]),
        (
            [layers.SeparableConv2D(3, 3, strides=2, padding="same", activation="sigmoid")],
            ["DepthwiseConv2D", "Conv2D", "InnerActivation"],
        ),
    ],
)
def test_each_operator_has_a_call(stack, names):
    model, graph, actual = lowered(*stack)
    assert actual == names
    np.testing.assert_allclose(replay(graph)(X), model(X), rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_called_twice_is_taken_apart_once():
    inputs = keras.Input(X.shape[1:])
    shared = layers.Conv2D(4, 1, activation="tanh", name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))
    graph = lower(graphs.trace(model))
    convolutions = [call.operation for call in graph.calls if call.name == "shared"]
    assert len(convolutions) == 2 and convolutions[0] is convolutions[1]
    np.testing.assert_allclose(replay(graph)(X), model(X), rtol=1e-5, atol=1e-6)


def test_a_branch_behind_an_activation_reads_the_activation():
    inputs = keras.Input(X.shape[1:])
    x = layers.Conv2D(4, 1, activation="silu")(inputs)
    model = keras.Model(inputs, [layers.Add()([x, layers.ReLU()(x)]), x])
    graph = lower(graphs.trace(model))
    for actual, expected in zip(replay(graph)(X), model(X), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_the_model_itself_stays_as_it_was():
    model, graph, _ = lowered(layers.Dense(2, activation="softmax", name="head"))
    lower(graph)
    assert model.get_layer("head").activation.__name__ == "softmax"
