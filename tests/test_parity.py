"""What was trained is what is deployed: fake-quantized Keras against the file, integer by integer.

Over the whole digits test split, under LiteRT's default kernels: the same label for at least
99.5 % of the samples, and at least 95 % of the output integers identical.
"""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import keras_compress as kc
from keras_compress.cli import datasets

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
parity = importlib.import_module("parity")


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


@pytest.mark.verify("trains three networks until they answer well")
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


@pytest.mark.verify("trains six networks")
@pytest.mark.parametrize("name", parity.NETWORKS)
def test_networks_that_nobody_tuned_to(name):
    """Logits of the same integers would be too much to ask: LiteRT's own kernels differ there."""
    row = parity.row(name, *parity.digits(), epochs=20)
    assert row["same label %"] >= 99.5
    assert row["identical integers %"] >= 95.0


@pytest.mark.verify("converts and analyzes a network of thirty operators")
@pytest.mark.parametrize("name", ["unet", "attention"])
def test_no_operator_adds_a_difference_of_its_own(name):
    """Calibrated instead of trained; a concatenation with QUANTIZE, and an attention block."""
    images, _ = parity.digits()
    keras.utils.set_random_seed(parity.SEEDS[name])
    inputs = keras.Input(images.shape[1:])
    plain = keras.Model(inputs, parity.NETWORKS[name](inputs))
    for layer in plain.layers:
        # Shifts that are no multiples of anything.
        if isinstance(layer, layers.LayerNormalization | layers.BatchNormalization):
            weights = layer.get_weights()
            layer.set_weights([np.linspace(0.3, 0.9, w.size).astype("float32") for w in weights])
        if isinstance(layer, layers.Conv2DTranspose):
            # The other input of the concatenation gets a finer grid than its output.
            layer.set_weights([5 * weight for weight in layer.get_weights()])
    model = kc.calibrate(kc.compress(plain, quantization="generic_int8"), images[:100])
    converted = kc.convert(model, representative_dataset=images[:100])
    analysis = kc.analyze(model, converted, images[100:140], kernels="xnnpack", sensitivity=False)
    assert len(analysis.integers) >= 8
    worst = max(analysis.integers, key=lambda each: each.introduced)
    assert worst.introduced < 0.0008, worst
