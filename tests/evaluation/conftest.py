"""Networks and files that the tests of evaluation and reporting share; each is made once."""

import types
import warnings

import numpy as np
import pytest

CLASSES = 10


def convert(model, samples, operators=None, io_type="float32"):
    """Convert a Keras model for batch 1 with TensorFlow's own converter."""
    import keras
    import tensorflow as tf

    inputs = [
        keras.Input(batch_shape=(1, *tensor.shape[1:]), name=tensor.name) for tensor in model.inputs
    ]
    fixed = keras.models.clone_model(model, input_tensors=inputs if len(inputs) > 1 else inputs[0])
    fixed.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    if operators is not None:
        names = [tensor.name for tensor in model.inputs]
        count = len(samples[names[0]])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            {name: samples[name][k : k + 1] for name in names} for k in range(min(count, 50))
        )
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, operators)]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, io_type)
    with warnings.catch_warnings():
        # TensorFlow warns of its own interpreter and of statistics that nobody needs.
        warnings.simplefilter("ignore")
        return converter.convert()


INT8 = "TFLITE_BUILTINS_INT8"
INT16 = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"


@pytest.fixture(scope="session")
def images():
    """Two hundred images in 0 .. 1 for `classifier`."""
    return np.random.default_rng(7).uniform(0, 1, (200, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="session")
def classifier():
    """A CNN with a Flatten, which becomes a RESHAPE of constant shape; a quarter is zeros."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(image)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(CLASSES, activation="softmax", name="probs")(x)
    model = keras.Model(image, x, name="classifier")
    random = np.random.default_rng(5)
    for layer in (model.get_layer("stem"), model.get_layer("probs")):
        kernel, bias = layer.get_weights()
        # No weight is so small that int8 rounds it to zero.
        kernel = random.choice([-1, 1], kernel.shape) * random.uniform(0.2, 1, kernel.shape)
        kernel.flat[::4] = 0
        layer.set_weights([kernel, bias])
    return model


@pytest.fixture(scope="session")
def labels(classifier, images):
    """The classifier's own labels, every tenth made wrong: its accuracy is 0.9."""
    labels = classifier.predict(images, verbose=0).argmax(-1)
    labels[::10] = (labels[::10] + 1) % CLASSES
    return labels


@pytest.fixture(scope="session")
def files(classifier, images):
    """The classifier converted: float32, int8, uint8, int16x8, int8 inside with float around."""
    samples = {"image": images}
    return types.SimpleNamespace(
        float32=convert(classifier, samples),
        int8=convert(classifier, samples, INT8, "int8"),
        uint8=convert(classifier, samples, INT8, "uint8"),
        int16x8=convert(classifier, samples, INT16, "int16"),
        float_around=convert(classifier, samples, INT8),
    )


@pytest.fixture(scope="session")
def two_headed():
    """A model with two inputs and two named outputs: a class and a quantity."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    image, meta = keras.Input((6, 6, 2), name="image"), keras.Input((5,), name="meta")
    x = layers.Flatten()(layers.Conv2D(3, 3, activation="relu")(image))
    x = layers.Concatenate()([x, layers.Dense(8, activation="relu")(meta)])
    heads = {
        "kind": layers.Dense(4, activation="softmax", name="kind")(x),
        "size": layers.Dense(1, name="size")(x),
    }
    return keras.Model([image, meta], heads)


@pytest.fixture(scope="session")
def two_inputs():
    """Fifty samples for `two_headed`, by input name."""
    random = np.random.default_rng(8)
    return {
        "image": random.uniform(0, 1, (50, 6, 6, 2)).astype(np.float32),
        "meta": random.uniform(-1, 1, (50, 5)).astype(np.float32),
    }


@pytest.fixture(scope="session")
def two_headed_int8(two_headed, two_inputs):
    """`two_headed` as a full-integer file."""
    return convert(two_headed, two_inputs, INT8, "int8")
