"""Three counts of multiply-accumulates agree: a layer's, a dependency graph's, and the file's."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.graph.graph import trace
from keras_compress.layers import base
from keras_compress.layers.base import positions
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.tflite import flatbuffer, macs

IMAGE, ROW, VOLUME, FLAT = (8, 8, 4), (9, 4), (5, 5, 5, 2), (6,)
CASES = {
    "dense": (IMAGE, lambda: layers.Dense(5)),
    "einsum_dense": (FLAT, lambda: layers.EinsumDense("ab,bc->ac", 5)),
    "conv1d": (ROW, lambda: layers.Conv1D(6, 3, strides=2)),
    "conv2d": (IMAGE, lambda: layers.Conv2D(6, (3, 2), groups=2, padding="same")),
    "conv3d": (VOLUME, lambda: layers.Conv3D(3, (3, 2, 1))),
    "conv2d_transpose": (IMAGE, lambda: layers.Conv2DTranspose(6, 3, strides=2)),
    "depthwise_conv2d": (IMAGE, lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "separable_conv2d": (IMAGE, lambda: layers.SeparableConv2D(6, 3)),
}


def model_of(shape, layer):
    return keras.Sequential([keras.Input(shape), layer])


@pytest.mark.parametrize("name", CASES)
def test_a_layer_counts_as_its_dependency_graph_and_its_file(name):
    shape, make = CASES[name]
    model = model_of(shape, make())
    (call,) = trace(model).calls
    counted = base.find(call.operation).macs(
        call.operation, call.inputs[0].shape, call.output.shape
    )
    if name != "separable_conv2d":  # its two kernels are counted apart
        assert counted == sum(DependencyGraph(model).macs().values())
        file = kc.convert(model, profile="float32")
        operators = flatbuffer.read(file.content).operators
        assert counted == sum(macs.count(operator) for operator in operators)


def test_a_lookup_multiplies_nothing():
    layer = layers.Embedding(7, 3)
    layer.build((None, 5))
    assert base.find(layer).macs(layer, (None, 5), (None, 5, 3)) == 0


RECURRENT = {
    "lstm": lambda: layers.LSTM(5),
    "gru": lambda: layers.GRU(5),
    "simple_rnn": lambda: layers.SimpleRNN(5),
    "rnn": lambda: layers.RNN([layers.GRUCell(5), layers.SimpleRNNCell(3)]),
    "bidirectional": lambda: layers.Bidirectional(layers.LSTM(5)),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_layer_uses_its_kernels_at_each_step(name):
    layer = RECURRENT[name]()
    model_of(ROW, layer)
    sizes = [np.prod(w.shape) for w in layer.weights if w.name.endswith("kernel")]
    assert base.find(layer).macs(layer, (None, *ROW), (None, 5)) == ROW[0] * sum(sizes)


def test_every_layer_type_with_products_is_compared():
    assert set(CASES) | set(RECURRENT) | {"embedding"} == set(base.names())


def test_free_sizes_count_as_one():
    assert positions((None, None, 8, 3)) == 8
    assert positions((2, 3, 4, 5), channel_axis=1) == np.prod((4, 5))
