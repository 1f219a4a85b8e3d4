"""Networks and flatbuffers that the tests of the converters share; each is made once."""

import types
import warnings

import numpy as np
import pytest


@pytest.fixture(scope="session")
def samples():
    """Sixty-four images in 0 .. 1 for `cnn`."""
    return np.random.default_rng(7).uniform(0, 1, (64, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def cnn():
    """A CNN with each fusion that TFLite knows: BN, ReLU, ReLU6, depthwise, add, dense."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    skip = x = layers.ReLU(name="stem_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.ReLU(6.0, name="depthwise_relu6")(x)
    x = layers.Conv2D(8, 1, name="pointwise")(x)
    x = layers.Add(name="join")([skip, x])
    x = layers.ReLU(name="join_relu")(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem_1")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dense(12, activation="relu", name="hidden")(x)
    model = keras.Model(image, layers.Dense(10, activation="softmax", name="probs")(x), name="cnn")
    random = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = (random.uniform(0.5, 1.5, 8) for _ in range(4))
            layer.set_weights([gamma, beta - 1, mean - 1, variance])
    return model


@pytest.fixture(scope="session")
def by_tensorflow(cnn, samples):
    """Files of `cnn` by TensorFlow's own converter, in this process: float, int8, int16x8."""
    import keras
    import tensorflow as tf

    image = keras.Input(batch_shape=(1, 12, 12, 3), name="image")
    fixed = keras.models.clone_model(cnn, input_tensors=image)
    fixed.set_weights(cnn.get_weights())

    def convert(operators=None, io_type=tf.float32):
        converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
        if operators is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([x[None]] for x in samples)
            converter.target_spec.supported_ops = [operators]
        converter.inference_input_type = converter.inference_output_type = io_type
        with warnings.catch_warnings():
            # TensorFlow warns of its own interpreter and of statistics that nobody needs.
            warnings.simplefilter("ignore")
            return converter.convert()

    sets = tf.lite.OpsSet
    return types.SimpleNamespace(
        float32=convert(),
        int8=convert(sets.TFLITE_BUILTINS_INT8, tf.int8),
        int16x8=convert(sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.int16),
    )


@pytest.fixture(scope="session")
def trained(samples):
    """A small network compressed to 2:4 sparsity and int8, trained for a few steps."""
    import keras
    from keras import layers

    import keras_compress as kc

    keras.utils.set_random_seed(4)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="probs")(x))
    model = kc.compress(
        model, pruning=kc.Pruning(pattern="2:4"), quantization=kc.Quantization(profile="cortex_m7")
    )
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    labels = np.random.default_rng(0).integers(0, 4, len(samples))
    callbacks = [
        kc.PruningCallback(kc.ConstantSparsity(0.5)),
        kc.QuantizationCallback(begin_step=1),
    ]
    model.fit(samples, labels, batch_size=16, epochs=2, verbose=0, callbacks=callbacks)
    return model


@pytest.fixture(scope="session")
def islands():
    """A network with two layers that TFLite has no integer kernels for, and two inputs."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(6)
    left, right = keras.Input((4,), name="z"), keras.Input((3,), name="a")
    x = layers.Concatenate(name="both")([left, right])
    x = layers.ELU(name="curve")(layers.Dense(5, name="mix")(x))
    first = layers.Dense(3, activation="softmax", name="first")(x)
    second = ops.tanh(layers.LayerNormalization(name="norm")(x))
    return keras.Model([left, right], [second, first], name="islands")


@pytest.fixture(scope="session")
def island_samples():
    """Samples for `islands`, in the order of its inputs."""
    random = np.random.default_rng(2)
    return [random.normal(size=(20, 4)), random.uniform(5, 9, size=(20, 3))]
