import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

import keras_compress as kc  # noqa: E402
from keras_compress.wrappers.model_kernels import (  # noqa: E402
    in_words,
    kernels_of,
    model_layers,
    unreached_layers,
)


@keras.saving.register_keras_serializable("test_model_kernels")
class Mixing(layers.Layer):
    """A matrix without a name of Keras', a bias and a factor for each channel."""

    def build(self, input_shape):
        self.mix = self.add_weight(shape=(input_shape[-1], 4), name="mix")
        self.bias = self.add_weight(shape=(4,), name="bias")
        self.factor = self.add_weight(shape=(1, 1, 4), name="factor")

    def call(self, inputs):
        return (inputs @ self.mix + self.bias) * self.factor


def nested(*inner):
    return keras.Sequential([keras.Input((5, 3)), *inner])


# Layers on inputs of the given shape, and the sizes of their kernels by hand.
KERNELS = {
    "lstm": ((5, 3), lambda: layers.LSTM(4), [3 * 16, 4 * 16]),
    "gru": ((5, 3), lambda: layers.GRU(4), [3 * 12, 4 * 12]),
    "simple_rnn": ((5, 3), lambda: layers.SimpleRNN(4), [3 * 4, 4 * 4]),
    "cells": ((5, 3), lambda: layers.RNN([layers.GRUCell(2)]), [3 * 6, 2 * 6]),
    "bidirectional": ((5, 3), lambda: layers.Bidirectional(layers.GRU(2)), [18, 12, 18, 12]),
    "conv_lstm": ((5, 8, 8, 3), lambda: layers.ConvLSTM2D(4, 3), [9 * 3 * 16, 9 * 4 * 16]),
    "time_distributed": ((5, 3), lambda: layers.TimeDistributed(layers.Dense(4)), [12]),
    "spectral": ((8, 3), lambda: layers.SpectralNormalization(layers.Conv1D(4, 3)), [36]),
    "transposed": ((8, 3), lambda: layers.Conv1DTranspose(4, 3), [36]),
    "separable": ((8, 3), lambda: layers.SeparableConv1D(4, 3), [12]),
    "depthwise": ((8, 3), lambda: layers.DepthwiseConv1D(3), []),
    "depthwise_2d": ((8, 8, 3), lambda: layers.DepthwiseConv2D(3), []),
    "normalization": ((8, 3), lambda: layers.LayerNormalization(axis=[1, 2]), []),
    "batch_normalization": ((8, 3), lambda: layers.BatchNormalization(), []),
    "prelu": ((8, 3), lambda: layers.PReLU(), []),
    "embedding": ((8,), lambda: layers.Embedding(10, 4), [40]),
    "custom": ((5, 3), Mixing, [12]),
    "frozen": ((5, 3), lambda: layers.LSTM(4, trainable=False), [48, 64]),
    "nested": ((5, 3), lambda: nested(nested(layers.LSTM(4))), [48, 64]),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_found_in_layers_of_any_kind(name):
    shape, make, sizes = KERNELS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    assert [kernel.size for kernel in kernels_of(model_layers(model))] == sizes


def test_a_shared_layer_counts_once():
    shared = layers.TimeDistributed(layers.Dense(3))
    model = keras.Sequential([keras.Input((5, 3)), shared, layers.ReLU(), shared])
    assert [kernel.size for kernel in kernels_of(model_layers(model))] == [9]


def test_what_compress_adds_is_no_kernel():
    model = keras.Sequential([keras.Input((8, 3)), layers.Conv1D(4, 3), layers.Dense(40)])
    compressed = kc.compress(model, kc.Pruning(), "generic_int8", kc.Clustering(clusters=4))
    sizes = [kernel.size for kernel in kernels_of(model_layers(compressed))]
    assert sizes == [kernel.size for kernel in kernels_of(model_layers(model))] == [36, 160]


def test_unreached_layers_are_named_by_size_and_the_rest_counted():
    names = [f"rnn{units}" for units in range(2, 7)]
    rnns = [layers.SimpleRNN(int(n[3:]), return_sequences=True, name=n) for n in names]
    model = keras.Sequential([keras.Input((5, 3)), *rnns, layers.Dense(1, name="head")])
    kernels = kernels_of(model_layers(model))
    reached = {id(model.get_layer("head").kernel)}
    unreached = unreached_layers(kernels, reached, lambda layer: layer.name != "rnn5")
    assert [layer.layer.name for layer in unreached] == ["rnn6", "rnn4", "rnn3", "rnn2"]
    total = sum(np.prod(weight.shape) for weight in model.weights if "kernel" in weight.path)
    share = round(100 * 66 / total)
    words = in_words(unreached)
    assert words.startswith(f"0 % of layer 'rnn6' (SimpleRNN, 66 weights, {share} % of the model's")
    assert words.endswith(", 1 more") and "rnn2" not in words
