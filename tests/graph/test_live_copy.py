"""Layers without a usable config are copied, or named before anything is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf
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


class Wrong(layers.Layer):
    """Its config has an argument too many and leaves one out."""

    def __init__(self, units, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.factor = units, factor
        self.dense = layers.Dense(units, name="inner")

    def build(self, shape):
        self.dense.build(shape)
        self.scale = self.add_weight(name="scale", shape=(self.units,), initializer="ones")

    def call(self, x):
        return self.dense(x) * ops.square(self.scale) * self.factor

    def get_config(self):
        return {**super().get_config(), "units": self.units, "count": 3}


class Forgetful(Wrong):
    """Its config leaves an argument out, in silence."""

    def get_config(self):
        return {**layers.Layer.get_config(self), "units": self.units}


class Rounded(layers.Dense):
    """A layer of a supported type that has an argument which Keras cannot serialize."""

    def __init__(self, units, function, **kwargs):
        super().__init__(units, **kwargs)
        self.function = function

    def call(self, x):
        return self.function(super().call(x))


OPAQUE = {
    "without a config": lambda: Head(ops.tanh, name="head"),
    "with a wrong config": lambda: Wrong(3, factor=0.25, name="head"),
    "with a config that leaves something out": lambda: Forgetful(3, factor=0.25, name="head"),
    "of a supported type": lambda: Rounded(3, ops.tanh, name="head"),
}


@pytest.mark.filterwarnings("ignore:No quantization is trained inside")
@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("kind", OPAQUE)
def test_layers_with_weights_are_copied_live(kind, options):
    model = network(OPAQUE[kind]())
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    compressed = kc.compress(model, **options)
    close(kc.strip(compressed), model)
    compressed.compile("sgd", "mse", jit_compile=False)
    compressed.fit(X, X[:, :3], verbose=0)
    trained = kc.strip(compressed)
    assert not np.allclose(trained(X), model(X), rtol=1e-5)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


@pytest.mark.filterwarnings("ignore:No quantization is trained inside")
def test_a_file_has_the_arguments_that_a_wrong_config_would_lose(tmp_path):
    model = network(Wrong(3, factor=0.25, name="head"))
    plain = kc.strip(kc.compress(model, pruning=kc.Pruning()))
    plain.save(tmp_path / "m.keras")
    loaded = kc.load_model(tmp_path / "m.keras", custom_objects={"Wrong": Wrong})
    close(loaded, model)


def test_an_identity_that_has_no_config_gets_one():
    model = network(layers.Identity(dtype=keras.DTypePolicy("float32"), name="same"))
    plain = kc.strip(kc.compress(model, pruning=kc.Pruning()))
    assert plain.get_config()["layers"][2]["config"]["name"] == "same"


def test_a_layer_with_weights_that_cannot_be_copied_is_named():
    class Held(Head):
        def __init__(self, function, **kwargs):
            super().__init__(function, **kwargs)
            self.run = tf.function(self.run_dense)
            self.compress_inside = False

        def run_dense(self, x):
            return self.dense(x)

    model = network(Held(ops.tanh, name="head"))
    with pytest.raises(UnsupportedModelError, match="'head' that raises .*Define get_config"):
        kc.compress(model, pruning=kc.Pruning())
