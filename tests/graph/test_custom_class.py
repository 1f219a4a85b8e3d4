"""compress() and strip() keep a model's own training code."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import UnsupportedModelError

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = X[:, :2]


class Counting(keras.Model):
    """Counts its train steps, and reads its own attributes, including layers of its graph."""

    def __init__(self, inputs, outputs, weight=2.0, **kwargs):
        super().__init__(inputs, outputs, **kwargs)
        self.weight = weight
        self.steps = keras.metrics.Sum(name="steps")
        self.parts = [self.layers[1], "note"]

    def train_step(self, data):
        logs = super().train_step(data)
        self.steps.update_state(self.weight)
        return {**logs, "steps": self.steps.result()}


class Plain(keras.Model):
    """A class that defines nothing but its constructor."""

    def __init__(self):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(2)(inputs))


class Chain(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


def counting():
    inputs = keras.Input((4,))
    outputs = layers.Dense(2, name="head")(layers.Dense(8, activation="relu", name="body")(inputs))
    model = Counting(inputs, outputs)
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    return model


def test_a_train_step_survives_compress_and_strip():
    model = counting()
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    assert isinstance(compressed, Counting)
    assert not compressed.compiled
    compressed.compile("sgd", "mse", jit_compile=False)
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
    history = compressed.fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks).history
    assert history["steps"] == [2.0 * 4]
    assert history["sparsity"] == [0.5]
    plain = kc.strip(compressed)
    assert isinstance(plain, Counting)
    assert plain.weight == 2.0


def test_layers_among_its_attributes_are_those_of_the_new_model():
    model = counting()
    compressed = kc.compress(model, pruning=kc.Pruning())
    assert compressed.parts[0] is compressed.get_layer("body")
    assert compressed.parts[1] == "note"
    names = [weight.path for weight in compressed.trainable_weights]
    assert len(names) == len(model.trainable_weights)


def test_layers_that_only_its_training_uses_are_copied():
    model = counting()
    model.labels, model.other = layers.Rescaling(2.0), layers.Dense(2, name="other")
    model.other.build((None, 4))
    compressed = kc.compress(model, pruning=kc.Pruning())
    assert compressed.labels is model.labels
    assert compressed.other is not model.other
    np.testing.assert_array_equal(compressed.other(X), model.other(X))


def test_the_compressed_model_converts():
    compressed = kc.compress(counting(), quantization="generic_int8")
    kc.calibrate(compressed, X)
    assert kc.inspect(kc.convert(compressed).content).float_tensors == 0


def test_a_class_without_training_code_is_left_behind():
    compressed = kc.compress(Plain(), pruning=kc.Pruning())
    assert type(compressed) is type(keras.Model(compressed.inputs, compressed.outputs))


def test_training_code_that_cannot_be_kept_is_refused():
    with pytest.raises(UnsupportedModelError, match="Received: Chain, which defines train_step"):
        kc.compress(Chain([keras.Input((4,)), layers.Dense(2)]), pruning=kc.Pruning())
