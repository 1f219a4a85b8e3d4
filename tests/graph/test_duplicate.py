"""A duplicate computes the same and shares nothing that training changes."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_compress.graph.duplicate import CannotDuplicate, duplicate

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)


class Holding(layers.Layer):
    """Holds layers and weights in each way in which a layer can."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.steps = [layers.Dense(4, name=f"step_{i}") for i in range(2)]
        self.table = {"norm": layers.LayerNormalization(), "others": [layers.Dropout(0.1)]}
        self.model = keras.Sequential([layers.Dense(4), layers.BatchNormalization()])
        self._self_attention = layers.MultiHeadAttention(2, 2)
        self.memory = layers.Bidirectional(layers.GRU(2, return_sequences=True))
        self.method, self.partial = self.scaled, functools.partial(self.scaled, factor=2.0)
        self.closure = lambda x: self.steps[0](x)

    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=(4,), initializer="ones")
        self.count = self.add_weight(name="count", shape=(), dtype="int32", trainable=False)

    def scaled(self, x, factor=1.0):
        return x * self.factor * factor

    def call(self, x, training=None):
        for step in self.steps:
            x = self.function(step(x))
        x = self._self_attention(*2 * [self.model(self.table["norm"](x), training=training)])
        x = self.memory(self.method(x) + self.partial(x) + self.closure(x))
        return self.table["others"][0](x, training=training)


def made():
    layer = Holding(lambda x: ops.tanh(x), name="holding")
    layer(X)
    return layer


def test_it_computes_the_same_with_weights_of_its_own():
    layer = made()
    expected = ops.convert_to_numpy(layer(X))
    copy = duplicate(layer, "copy")
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(X)), expected)
    assert (copy.name, [weight.path for weight in copy.weights]) == (
        "copy",
        [weight.path for weight in layer.weights],
    )
    assert [weight.dtype for weight in copy.weights] == [weight.dtype for weight in layer.weights]
    copy.set_weights([np.full(weight.shape, 2) for weight in copy.weights])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(X)), expected)
    layer.set_weights([np.full(weight.shape, 2) for weight in layer.weights])
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(X)), ops.convert_to_numpy(layer(X)))


def test_it_is_frozen_and_unfrozen_by_itself():
    layer = made()
    layer.trainable = False
    copy = duplicate(layer, "copy")
    assert not copy.trainable_weights
    copy.trainable = True
    assert copy.trainable_weights and not layer.trainable_weights


def test_what_leads_back_to_the_layer_and_cannot_be_copied_is_refused():
    tf = pytest.importorskip("tensorflow")
    layer = made()
    object.__setattr__(layer, "compiled", tf.function(layer.scaled))
    with pytest.raises(CannotDuplicate, match="Function"):
        duplicate(layer, "copy")
