"""Twelve small networks, each with traps of its own, converted for every kind of target.

    python benchmarks/verdict_networks.py FOLDER

writes `<network>.<setting>.tflite` into the folder, and `failures.json` with what TensorFlow's
converter refuses. Weights and samples are random: what runs where does not depend on them. The
files are as the converter leaves them, islands and all, so that the checks have something to find.
"""

import json
import re
import sys
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_compress as kc
from keras_compress.converters import frozen_graph

SAMPLES = 8


def block(x, filters, name, kernel=3, strides=1, depthwise=False, activation=True):
    """Convolution, BatchNormalization and ReLU6."""
    if depthwise:
        x = layers.DepthwiseConv2D(kernel, strides, "same", use_bias=False, name=name)(x)
    else:
        x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


def image(channels=3, name="image"):
    return keras.Input((16, 16, channels), batch_size=1, name=name)


def cnn():
    """Plain convolutions, pooling and Dense layers."""
    source = image()
    x = layers.Conv2D(8, 3, activation="relu", name="stem")(source)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(16, 3, activation="relu", name="middle")(x)
    x = layers.Dense(32, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return keras.Model(source, layers.Dense(10, activation="softmax", name="head")(x))


def residual():
    """A residual block."""
    source = image()
    x = block(source, 8, "stem")
    y = block(block(x, 8, "first"), 8, "second", activation=False)
    x = layers.ReLU(name="join_relu")(layers.Add(name="join")([x, y]))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(source, layers.Dense(10, name="head")(x))


def separable():
    """Depthwise-separable convolutions."""
    source = image()
    x = block(source, 8, "stem", strides=2)
    for number in (1, 2):
        x = block(x, None, f"depthwise_{number}", depthwise=True)
        x = block(x, 16, f"pointwise_{number}", kernel=1)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(source, layers.Dense(10, activation="softmax", name="head")(x))


def squeeze_excite():
    """A squeeze-and-excite block and hard_swish."""
    source = image()
    x = block(source, 16, "stem")
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    # Biased, so that no random weights leave the ReLU at zero.
    alive = {"activation": "relu", "bias_initializer": "ones"}
    gate = layers.Conv2D(4, 1, **alive, name="reduce")(gate)
    gate = layers.Conv2D(16, 1, activation="hard_sigmoid", name="expand")(gate)
    x = layers.Activation("hard_swish", name="swish")(layers.Multiply(name="scale")([x, gate]))
    x = layers.Flatten(name="flat")(layers.AveragePooling2D(4, name="pool")(x))
    return keras.Model(source, layers.Dense(10, name="head")(x))


def conv1d():
    """One-dimensional convolutions and a global maximum."""
    source = keras.Input((64, 4), batch_size=1, name="wave")
    x = layers.Conv1D(8, 5, activation="relu", name="stem")(source)
    x = layers.MaxPooling1D(2, name="pool")(x)
    x = layers.Conv1D(16, 3, activation="relu", name="middle")(x)
    x = layers.GlobalMaxPooling1D(name="maximum")(x)
    return keras.Model(source, layers.Dense(5, activation="softmax", name="head")(x))


def gru():
    """An unrolled recurrent layer."""
    source = keras.Input((8, 4), batch_size=1, name="steps")
    x = layers.GRU(8, unroll=True, name="gru")(source)
    return keras.Model(source, layers.Dense(3, activation="softmax", name="head")(x))


def attention():
    """Attention, LayerNormalization and gelu."""
    source = keras.Input((16, 16), batch_size=1, name="tokens")
    x = layers.MultiHeadAttention(2, 8, name="attention")(source, source)
    x = layers.LayerNormalization(name="norm")(layers.Add(name="join")([source, x]))
    x = layers.Dense(16, activation="gelu", name="feed_forward")(x)
    x = layers.GlobalAveragePooling1D(name="average")(x)
    return keras.Model(source, layers.Dense(3, name="head")(x))


def autoencoder():
    """Transposed convolutions."""
    source = image(1)
    x = layers.Conv2D(8, 3, 2, "same", activation="relu", name="first")(source)
    x = layers.Conv2D(4, 3, 2, "same", activation="relu", name="code")(x)
    x = layers.Conv2DTranspose(8, 3, 2, "same", activation="relu", name="up")(x)
    last = layers.Conv2DTranspose(1, 3, 2, "same", activation="sigmoid", name="picture")
    return keras.Model(source, last(x))


def segmenter():
    """Dilation, nearest-neighbour upsampling and a softmax at each pixel."""
    source = image()
    x = layers.Conv2D(8, 3, 2, "same", activation="relu", name="stem")(source)
    x = layers.Conv2D(8, 3, 1, "same", dilation_rate=2, activation="relu", name="atrous")(x)
    x = layers.UpSampling2D(2, name="upsample")(x)
    return keras.Model(source, layers.Conv2D(4, 1, activation="softmax", name="classes")(x))


def regression():
    """Dense layers with an activation that the converter leaves in float."""
    source = keras.Input((12,), batch_size=1, name="features")
    x = layers.Dense(16, activation="relu", name="first")(source)
    x = layers.Dense(8, activation="elu", name="second")(x)
    return keras.Model(source, layers.Dense(1, name="value")(x))


def two_inputs():
    """An image and a vector; PReLU with a slope for each place, ReLU behind average pooling."""
    picture, features = image(), keras.Input((4,), batch_size=1, name="features")
    x = layers.PReLU(name="prelu")(layers.Conv2D(8, 3, 2, name="stem")(picture))
    x = layers.ReLU(name="pool_relu")(layers.AveragePooling2D(2, name="pool")(x))
    y = layers.Dense(8, name="embed")(features)
    x = layers.Concatenate(name="join")([layers.Flatten(name="flat")(x), y])
    return keras.Model([picture, features], layers.Dense(3, name="head")(x))


def two_outputs():
    """A class and a map; leaky ReLU and tanh."""
    source = image()
    x = layers.Conv2D(8, 3, 2, activation="leaky_relu", name="stem")(source)
    kind = layers.GlobalAveragePooling2D(name="average")(x)
    kind = layers.Dense(3, activation="softmax", name="kind")(kind)
    return keras.Model(source, [kind, layers.Conv2D(1, 1, activation="tanh", name="map")(x)])


NETWORKS = {
    build.__name__: build
    for build in (
        cnn,
        residual,
        separable,
        squeeze_excite,
        conv1d,
        gru,
        attention,
        autoencoder,
        segmenter,
        regression,
        two_inputs,
        two_outputs,
    )
}
# Setting -> (activation type, operator set, one scale for each unit of a Dense layer).
SETTINGS = {
    "float32": None,
    "int8": (tf.int8, tf.lite.OpsSet.TFLITE_BUILTINS_INT8, True),
    "int8_per_tensor_dense": (tf.int8, tf.lite.OpsSet.TFLITE_BUILTINS_INT8, False),
    "int16x8": (
        tf.int16,
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        True,
    ),
}


# One in five conversions of an unrolled GRU leaves some SPLIT operators in float, the others none,
# from the same model and samples: these networks are converted until all is settled.
UNSETTLED = ("gru",)
TRIES = 12


def export(model, folder):
    """Save a model once for all settings, as a graph of constants, which is quick to read."""
    inputs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in model.inputs]

    def inference(*tensors):
        found = model(keras.tree.pack_sequence_as(model.input, tensors), training=False)
        return {f"output_{i}": tensor for i, tensor in enumerate(keras.tree.flatten(found))}

    frozen_graph.save(tf.function(inference, input_signature=inputs), folder)


def convert_settled(model, saved, setting, name):
    """Return the conversion of a network with the fewest float tensors of several tries."""
    best = convert(model, saved, setting)
    for _ in range(TRIES if name in UNSETTLED and setting != "float32" else 0):
        if not kc.inspect(best).float_tensors:
            break
        best = min(best, convert(model, saved, setting), key=lambda c: kc.inspect(c).float_tensors)
    return best


def convert(model, saved, setting):
    """Return the bytes that TensorFlow's converter makes of a model that was exported."""
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    if SETTINGS[setting] is not None:
        kind, operators, per_channel_dense = SETTINGS[setting]
        random = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [operators]
        converter.inference_input_type = converter.inference_output_type = kind
        disable = "_experimental_disable_per_channel_quantization_for_dense_layers"
        setattr(converter, disable, not per_channel_dense)
        converter.representative_dataset = lambda: (
            {t.name: random.normal(size=t.shape).astype(np.float32) for t in model.inputs}
            for _ in range(SAMPLES)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.convert()


def main(folder):
    """Write all files into a folder."""
    folder, failures = Path(folder), {}
    for name, build in NETWORKS.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        model = build()
        with tempfile.TemporaryDirectory() as saved:
            export(model, saved)
            for setting in SETTINGS:
                try:
                    content = convert_settled(model, saved, setting, name)
                except RuntimeError as error:
                    refused = re.findall(r"for op: '(\w+)'", str(error))
                    failures[f"{name}.{setting}"] = refused or str(error).splitlines()[:1]
                    continue
                (folder / f"{name}.{setting}.tflite").write_bytes(content)
    (folder / "failures.json").write_text(json.dumps(failures, indent=2))


if __name__ == "__main__":
    main(sys.argv[1])
