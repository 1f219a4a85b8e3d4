"""Each Keras layer and operation has the role of its TFLite operator."""

import keras
import pytest
from keras import layers, ops

from keras_compress.graph.graph import trace
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import activation_name, is_fusable, role

LAYERS = [
    (layers.Conv2D(2, 3), Role.KERNEL),
    (layers.Conv2D(2, 3, activation="relu"), Role.KERNEL),
    (layers.Dense(2, activation="softmax"), Role.KERNEL),
    (layers.Embedding(4, 2), Role.LOOKUP),
    (layers.Conv3D(2, 3), Role.UNKNOWN),
    (layers.BatchNormalization(), Role.FUSABLE),
    (layers.Add(), Role.FUSABLE),
    (layers.Multiply(), Role.FUSABLE),
    (layers.Rescaling(2.0), Role.FUSABLE),
    (layers.ReLU(), Role.RELU),
    (layers.ReLU(6), Role.RELU),
    (layers.Activation("relu"), Role.RELU),
    (layers.Activation("relu6"), Role.RELU),
    (layers.ReLU(5), Role.OWN),
    (layers.ReLU(negative_slope=0.1), Role.OWN),
    (layers.ReLU(threshold=1.0), Role.OWN),
    (layers.Flatten(), Role.PASS),
    (layers.Reshape((2,)), Role.PASS),
    (layers.Dropout(0.5), Role.PASS),
    (layers.MaxPooling2D(), Role.PASS),
    (layers.ZeroPadding2D(), Role.PASS),
    (layers.Activation("linear"), Role.PASS),
    (layers.UpSampling2D(), Role.PASS),
    (layers.UpSampling2D(interpolation="bilinear"), Role.SAME_SCALE),
    (layers.AveragePooling2D(2), Role.SAME_SCALE),
    (layers.Resizing(4, 4), Role.SAME_SCALE),
    (layers.Concatenate(), Role.JOIN),
    (layers.Maximum(), Role.JOIN),
    (layers.Softmax(), Role.FIXED),
    (layers.Activation("sigmoid"), Role.FIXED),
    (layers.Activation("tanh"), Role.FIXED),
    (layers.GlobalAveragePooling2D(), Role.OWN),
    (layers.LeakyReLU(), Role.OWN),
    (layers.PReLU(), Role.OWN),
    (layers.Activation("gelu"), Role.OWN),
    (layers.LSTM(2), Role.UNKNOWN),
    (layers.SimpleRNN(2, activation="relu"), Role.UNKNOWN),
    (layers.Conv1DTranspose(2, 3, activation="relu"), Role.UNKNOWN),
    (layers.Bidirectional(layers.GRU(2)), Role.UNKNOWN),
]


@pytest.mark.parametrize(
    ("layer", "expected"), LAYERS, ids=[f"{layer.name}-{found}" for layer, found in LAYERS]
)
def test_layers(layer, expected):
    assert role(layer) is expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (ops.relu, Role.RELU),
        (ops.relu6, Role.RELU),
        (ops.softmax, Role.FIXED),
        (ops.sigmoid, Role.FIXED),
        (ops.tanh, Role.FIXED),
        (lambda x: x + x, Role.FUSABLE),
        (lambda x: x * 2.0, Role.FUSABLE),
        (lambda x: ops.mean(x, axis=1), Role.OWN),
        (lambda x: ops.concatenate([x, x]), Role.JOIN),
        (lambda x: ops.reshape(x, (-1, 2, 2)), Role.PASS),
        (lambda x: x[:, 1:], Role.PASS),
        (ops.erf, Role.UNKNOWN),
        (keras.activations.relu, Role.RELU),
        (lambda x: keras.activations.relu(x, max_value=5), Role.OWN),
    ],
)
def test_operations(function, expected):
    inputs = keras.Input((4,))
    (call,) = trace(keras.Model(inputs, function(inputs))).calls
    assert role(call.operation) is expected


def test_names_of_activations():
    assert activation_name(layers.Dense(2, activation="relu")) == "relu"
    assert activation_name(layers.Dense(2)) == "linear"
    assert activation_name(layers.LSTM(2)) is None
    assert activation_name(layers.Flatten()) is None
    assert is_fusable(layers.Dense(2, activation="relu6"))
    assert not is_fusable(layers.Dense(2, activation="tanh"))
