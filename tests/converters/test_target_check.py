"""The check of Keras models before training, against what conversion does with real samples."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.converters.made_up_samples import made_up_samples
from keras_compress.errors import InvalidArgumentError, UnknownNameError

TARGET = "cortex_m4"
FLAT, ROW, IMAGE, TOKENS = (8,), (6, 8), (8, 8, 3), (6,)


class Function(layers.Layer):
    """A custom layer that computes a function of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        """Apply the function."""
        return self.function(x)

    def compute_output_shape(self, shape):
        """Return the input's shape."""
        return shape


class Scaled(layers.Layer):
    """A custom layer with a weight of its own."""

    def build(self, shape):
        """Make the weight."""
        self.factor = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        """Multiply by the weight."""
        return x * self.factor


def chain(shape, *steps, dtype="float32"):
    """Return a model of layers that follow each other."""
    inputs = x = keras.Input(shape, dtype=dtype)
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


def joined(shape, join):
    """Return a model whose output a function makes of its input."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, join(inputs))


def behind_dense(function):
    """Return a model with a function in a custom layer."""
    return chain(FLAT, layers.Dense(8), Function(function))


def text():
    """Return a model that reads text."""
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(["left right up down"])
    return chain((1,), words, layers.Embedding(8, 4), dtype="string")


def halved_thrice(x):
    """Halve a tensor in a loop."""
    return ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 0.5), (0, x))[1]


def unet(x):
    """Return a small U-Net's output."""
    wide = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    deep = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(wide))
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(deep)
    return layers.Conv2D(2, 1)(layers.Concatenate()([wide, up]))


def residual(x):
    """Return a small residual network's output."""
    y = layers.Conv2D(4, 3, padding="same")(x)
    z = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(y)))
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Add()([y, z])))


def excited(x):
    """Return the output of a squeeze-and-excite block."""
    y = layers.Conv2D(4, 3)(x)
    weights = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return layers.Multiply()([y, weights])


def transformer(x):
    """Return the output of a transformer block."""
    y = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    return layers.Add()([y, layers.Dense(8)(layers.Dense(16, activation="relu")(y))])


def two_inputs():
    """Return a model of an image and of a row of numbers."""
    image, row = keras.Input(IMAGE, name="image"), keras.Input((4,), name="row")
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    joint = layers.Concatenate()([features, layers.Dense(4)(row)])
    return keras.Model({"image": image, "row": row}, {"class": layers.Dense(3)(joint)})


def compressed():
    """Return a model that `kc.compress` has prepared and nobody has trained."""
    model = chain(FLAT, layers.Dense(8, activation="relu"), layers.Dense(3))
    return kc.compress(model, pruning=kc.Pruning(), quantization=TARGET)


# What no integer file holds: name -> (model, a part of what is said).
REFUSED = {
    "volumes": (
        lambda: chain((4, 4, 4, 2), layers.Conv3D(3, 2), layers.Flatten(), layers.Dense(2)),
        "CONV_3D",
    ),
    "pooled volumes": (lambda: chain((4, 4, 4, 2), layers.MaxPooling3D()), "max_pooling3d"),
    "rolled GRU": (lambda: chain(ROW, layers.GRU(4), layers.Dense(2)), "unroll=True"),
    "mask before an LSTM": (
        lambda: chain(
            TOKENS, layers.Embedding(9, 4, mask_zero=True), layers.LSTM(4), dtype="int32"
        ),
        "Masking",
    ),
    "convolutional LSTM": (lambda: chain((3, 6, 6, 2), layers.ConvLSTM2D(2, 3)), "loop"),
    "ELU": (lambda: chain(FLAT, layers.Dense(8, activation="elu"), layers.Dense(2)), "ELU"),
    "spectrogram": (
        lambda: chain(
            (64,), layers.MelSpectrogram(16, 16, sampling_rate=500, max_freq=200, num_mel_bins=4)
        ),
        "RFFT2D",
    ),
    "text": (text, "text"),
    "running sum": (lambda: behind_dense(lambda x: ops.cumsum(x, 1)), "CUMSUM"),
    "loop": (lambda: behind_dense(halved_thrice), "WHILE"),
    "noise at inference": (
        lambda: behind_dense(lambda x: x + keras.random.normal((1, 8))),
        "function",
    ),
    "free sizes": (
        lambda: chain((None, None, 3), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()),
        "input_shapes",
    ),
}
CONVERTED = {
    "perceptron": lambda: chain(FLAT, layers.Dense(8, activation="silu"), layers.Dense(3)),
    "convolutions": lambda: chain(IMAGE, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)),
    "separable convolutions": lambda: chain(
        IMAGE, layers.SeparableConv2D(4, 3), layers.BatchNormalization(), layers.ReLU(6.0)
    ),
    "residual": lambda: joined(IMAGE, residual),
    "squeeze and excite": lambda: joined(IMAGE, excited),
    "U-Net": lambda: joined(IMAGE, unet),
    "transformer": lambda: joined(ROW, transformer),
    "LSTM": lambda: chain(ROW, layers.LSTM(4), layers.Dense(3)),
    "both directions": lambda: chain(ROW, layers.Bidirectional(layers.LSTM(4))),
    "unrolled GRU": lambda: chain(ROW, layers.GRU(4, unroll=True), layers.Dense(3)),
    "dilated sequence": lambda: chain(
        ROW, layers.Conv1D(4, 3, dilation_rate=2, padding="causal"), layers.GlobalMaxPooling1D()
    ),
    "words": lambda: chain(
        TOKENS, layers.Embedding(9, 4), layers.Flatten(), layers.Dense(3), dtype="int32"
    ),
    "autoencoder": lambda: chain(
        IMAGE, layers.Conv2D(4, 3, strides=2), layers.Conv2DTranspose(3, 3, strides=2)
    ),
    "embedding of unit length": lambda: chain(FLAT, layers.Dense(8), layers.UnitNormalization()),
    "two inputs": two_inputs,
    "bytes": lambda: chain(IMAGE, layers.Rescaling(1 / 255), layers.Conv2D(4, 3), dtype="uint8"),
    "custom weights": lambda: chain(FLAT, layers.Dense(8), Scaled(), layers.Dense(3)),
    "compressed": compressed,
}
QUICK = ("rolled GRU", "text", "ELU", "perceptron", "two inputs")
FULL = pytest.mark.verify("converts thirty architectures")
ARCHITECTURES = [
    pytest.param(name, marks=() if name in QUICK else FULL) for name in (*REFUSED, *CONVERTED)
]


def build(name):
    make = CONVERTED.get(name) or REFUSED[name][0]
    return make()


def real_samples(model):
    """Return samples that another generator made: forty, uniform."""
    random, samples = np.random.default_rng(5), {}
    for tensor in model.inputs:
        shape = (40, *(size or 8 for size in tensor.shape[1:]))
        if tensor.dtype == "string":
            samples[tensor.name] = np.full(shape, "left up")
        else:
            drawn = random.uniform(-2.0, 2.0, shape)
            whole = random.integers(0, 9, shape)
            samples[tensor.name] = (drawn if "float" in tensor.dtype else whole).astype(
                tensor.dtype
            )
    return samples if len(samples) > 1 else next(iter(samples.values()))


def test_of_thirty_architectures_twelve_do_not_convert():
    assert (len(REFUSED), len(CONVERTED)) == (12, 18)
    assert not REFUSED.keys() & CONVERTED.keys()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_check_says_before_training_what_conversion_says_after(name):
    verdict = kc.check(build(name), TARGET)
    assert verdict.made_up_samples
    assert "made up" in str(verdict) and "made up" in verdict._repr_html_()
    codes = {finding.code for finding in verdict.findings}
    if name in REFUSED:
        assert (verdict.verdict, codes) == ("does_not_run", {"does_not_convert"})
        assert REFUSED[name][1] in str(verdict)
        assert max(len(str(finding)) for finding in verdict.findings) < 600
    else:
        assert verdict.verdict == "runs", str(verdict)
        assert "does_not_convert" not in codes


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_conversion_with_samples_agrees(name):
    model = build(name)
    if name in REFUSED:
        with pytest.raises(kc.CompressionError) as raised:
            kc.convert(model, TARGET, real_samples(model))
        assert len(str(raised.value)) < 600
    else:
        converted = kc.convert(model, TARGET, real_samples(model))
        assert kc.check(converted, TARGET).verdict == "runs"


def test_samples_are_the_same_each_time_and_in_the_inputs_ranges():
    tokens, image = keras.Input((5,), dtype="int32"), keras.Input((4, 4, 3), dtype="uint8")
    real = keras.Input((300,), name="real")
    words = layers.Flatten()(layers.Embedding(3, 2)(layers.Reshape((5,))(tokens)))
    pixels = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    model = keras.Model([tokens, image, real], layers.Concatenate()([words, pixels, real]))
    samples, again = made_up_samples(model), made_up_samples(model)
    for name, array in samples.items():
        np.testing.assert_array_equal(array, again[name])
    first, second, third = samples.values()
    assert (first.dtype, first.min(), first.max()) == ("int32", 0, 2)
    assert (second.dtype, second.shape) == ("uint8", (4, 4, 4, 3)) and second.max() > 200
    assert third.dtype == "float32" and 1 < np.abs(third).max() <= 3


def test_a_check_gives_free_sizes_and_says_what_is_wrong_with_arguments():
    model = build("free sizes")
    assert kc.check(model, TARGET, input_shapes=(8, 8, 3)).verdict == "runs"
    with pytest.raises(UnknownNameError, match="corex"):
        kc.check(model, "corex_m4")
    with pytest.raises(InvalidArgumentError, match="for Keras models"):
        kc.check(b"", TARGET, input_shapes=(8, 8, 3))


def test_the_command_takes_keras_files(tmp_path):
    good, bad = tmp_path / "good.keras", tmp_path / "bad.keras"
    build("perceptron").save(good)
    build("rolled GRU").save(bad)
    assert kc.check(good, TARGET).verdict == "runs"
    command = [sys.executable, "-m", "keras_compress", "check", str(bad), TARGET, "--json=-"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["verdict"], found["made_up_samples"]) == ("does_not_run", True)
    assert "made up" in ended.stderr
