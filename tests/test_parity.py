"""What was trained is what is deployed: fake-quantized Keras against the file, integer by integer.

Over the whole digits test split, under LiteRT's default kernels: the same label for at least
99.5 % of the samples, and at least 95 % of the output integers identical.
"""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import keras_compress as kc
from keras_compress.cli import datasets

pytestmark = pytest.mark.verify("trains three networks until they answer well")


def _conv(x, filters, stride=1, relu=True):
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x) if relu else x


def _separable(x, filters, stride=1):
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
    x = layers.ReLU(6)(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return layers.ReLU(6)(layers.BatchNormalization(momentum=0.9)(x))


def _plain(x):
    x = layers.MaxPooling2D()(_conv(x, 16))
    return layers.Dense(32, activation="relu")(layers.Flatten()(_conv(x, 24)))


def _residual(x):
    x = _conv(x, 16)
    x = layers.ReLU()(layers.Add()([x, _conv(_conv(x, 16), 16, relu=False)]))
    short = layers.Conv2D(32, 1, strides=2)(x)
    x = layers.ReLU()(layers.Add()([short, _conv(_conv(x, 32, 2), 32, relu=False)]))
    return layers.Flatten()(layers.AveragePooling2D(2)(x))


def _depthwise_separable(x):
    x = _separable(_separable(_conv(x, 16), 24, 2), 32)
    return layers.GlobalAveragePooling2D()(x)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.mark.parametrize("body", [_plain, _residual, _depthwise_separable])
def test_labels_and_integers_agree(body, digits):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(digits.x_train.shape[1:])
    outputs = layers.Dense(digits.classes, activation="softmax")(body(inputs))
    model = kc.compress(
        keras.Model(inputs, outputs),
        pruning=kc.Pruning(),
        quantization=kc.Quantization(profile="generic_int8"),
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    schedule = kc.PolynomialDecay(final_sparsity=0.5, end_step=80, frequency=10)
    callbacks = [
        kc.PruningCallback(schedule),
        kc.QuantizationCallback(begin_step=80, freeze_step=160),
    ]
    model.fit(digits.x_train, digits.y_train, 64, 10, verbose=0, callbacks=callbacks)
    expected = model.predict(digits.x_test, verbose=0)
    assert set(expected.argmax(-1)) == set(range(digits.classes))  # Not one answer to all.

    content = kc.convert(model, representative_dataset=digits.x_train[:100]).content
    integers, scale, zero_point = _run(content, digits.x_test)
    labels = np.mean(integers.argmax(-1) == expected.argmax(-1))
    identical = np.mean(integers == np.round(expected / scale) + zero_point)
    assert labels >= 0.995
    assert identical >= 0.95


def _run(content, images):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    quantized = np.clip(np.round(images / scale) + zero_point, -128, 127).astype(np.int8)
    outputs = []
    for image in quantized:
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    return np.array(outputs, np.int32), *target["quantization"]
