"""Layers without a usable config are copied, or named before anything is trained."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.errors import UnsupportedModelError

WAYS = [{"pruning": kc.Pruning()}, {"quantization": "generic_int8"}]
X = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)


class Scaled(layers.Layer):
    """A layer without weights whose argument Keras cannot serialize."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


class Head(Scaled):
    """A layer with weights that cannot be made from its config."""

    def build(self, shape):
        self.dense = layers.Dense(3)
        self.dense.build(shape)

    def call(self, x):
        return self.function(self.dense(x))


def network(layer):
    steps = [layers.Dense(4, name="first"), layer, layers.Dense(3, name="last")]
    model = keras.Sequential([keras.Input((8,)), *steps])
    model(X)
    return model


def close(model, other):
    found, expected = (ops.convert_to_numpy(each(X)) for each in (model, other))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


LIVE = {
    "lambda": lambda: layers.Lambda(lambda x: x * 2, name="twice"),
    "lambda with arguments": lambda: layers.Lambda(
        lambda x, factor: x * factor, output_shape=(4,), arguments={"factor": 3.0}, name="twice"
    ),
    "without weights": lambda: Scaled(lambda x: x * 2, name="twice"),
}


@pytest.mark.filterwarnings("ignore:No quantization is trained inside")
@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("kind", LIVE)
def test_layers_without_weights_are_copied_live(kind, options):
    model = network(LIVE[kind]())
    compressed = kc.compress(model, **options)
    plain = kc.strip(compressed)
    close(plain, model)
    assert "twice" in {layer.name for layer in plain.layers}
    if options is WAYS[0]:
        close(compressed, model)


def test_two_lambdas_of_one_name_are_numbered():
    def block(name):
        steps = [layers.Dense(4), layers.Lambda(lambda x: x * 2, name="twice")]
        return keras.Sequential([keras.Input((8,)), *steps], name=name)

    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Add()([block("a")(inputs), block("b")(inputs)]))
    compressed = kc.compress(model, pruning=kc.Pruning())
    assert {"twice", "twice_1"} <= {layer.name for layer in compressed.layers}
    close(compressed, model)


@pytest.mark.filterwarnings("ignore:No quantization is trained inside")
@pytest.mark.parametrize("options", WAYS)
def test_a_layer_with_weights_that_cannot_be_copied_is_named(options):
    model = network(Head(ops.tanh, name="head"))
    with pytest.raises(UnsupportedModelError, match="'head' that raises .*Define get_config"):
        kc.compress(model, **options)
