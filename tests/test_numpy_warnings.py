"""The main road leaves no warning of NumPy in a user's log."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc

X = np.random.default_rng(0).normal(size=(16, 8, 8, 1)).astype(np.float32)
Y = np.arange(16) % 3

# Keras' own modules are left out: what they do is not ours.
pytestmark = pytest.mark.filterwarnings(
    r"error:__array__ implementation:DeprecationWarning:keras_compress"
)


def network():
    keras.utils.set_random_seed(0)
    steps = [
        layers.Conv2D(4, 3, name="conv"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.DepthwiseConv2D(3),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation="softmax", name="head"),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *steps])


@pytest.mark.verify("each technique and the whole road once more")
def test_compress_fit_strip_and_convert():
    model = kc.compress(
        network(),
        pruning=kc.Pruning(),
        quantization="generic_int8",
        clustering=kc.Clustering(clusters=4),
    )
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    callbacks = [
        kc.PruningCallback(kc.ConstantSparsity(0.5)),
        kc.ClusteringCallback(1, 3),
        kc.QuantizationCallback(1, 3),
    ]
    model.fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks)
    kc.reestimate_batch_norm(model, X)
    kc.strip(model)
    file = kc.convert(model, "generic_int8", X)
    kc.evaluate(file, X, Y, baseline=model)
    kc.analyze(model, file, X)


def test_post_training_and_shrinking():
    model = kc.shrink(kc.equalize(network()), channels=0.5)
    compressed = kc.compress(model, quantization="generic_int8")
    kc.calibrate(compressed, X)
    kc.round_weights(compressed, X, rounding="gptq")
    kc.correct_biases(compressed, X)
    kc.convert(compressed, "generic_int8")
