"""What `kc.compress` says before a training that no conversion could follow."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.layers import operations
from keras_compress.layers.operations import FUNCTIONS, IN_FLOAT, LAYERS, NO_OPERATOR

FLAT, VOLUME = (8,), (4, 4, 4, 2)


def _vocabulary(kind, **options):
    layer = kind(**options)
    layer.adapt(["left right up down"])
    return layer


# Layer or operation -> (a function that makes it, shape of a sample, type of the input).
CASES = {
    "ELU": (layers.ELU, FLAT, "float32"),
    "Elu": (lambda: layers.Dense(4, activation="elu"), FLAT, "float32"),
    "LogSigmoid": (lambda: layers.Activation("log_sigmoid"), FLAT, "float32"),
    "Squareplus": (lambda: keras.activations.squareplus, FLAT, "float32"),
    "RMSNormalization": (layers.RMSNormalization, FLAT, "float32"),
    "GroupNormalization": (lambda: layers.GroupNormalization(2), (4, 4, 4), "float32"),
    "Conv3D": (lambda: layers.Conv3D(2, 2), VOLUME, "float32"),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(2, 2), VOLUME, "float32"),
    "MaxPooling3D": (layers.MaxPooling3D, VOLUME, "float32"),
    "AveragePooling3D": (lambda: layers.AveragePooling3D(2), VOLUME, "float32"),
    "MelSpectrogram": (
        lambda: layers.MelSpectrogram(16, 16, sampling_rate=500, max_freq=200, num_mel_bins=4),
        (64,),
        "float32",
    ),
    "STFTSpectrogram": (
        lambda: layers.STFTSpectrogram(frame_length=16, frame_step=8, fft_length=16),
        (64, 1),
        "float32",
    ),
    "Erf": (lambda: ops.erf, FLAT, "float32"),
    "Cumsum": (lambda: lambda x: ops.cumsum(x, axis=1), FLAT, "float32"),
    "Hashing": (lambda: layers.Hashing(4), FLAT, "int32"),
    "CategoryEncoding": (lambda: layers.CategoryEncoding(8), FLAT, "int32"),
    "Discretization": (lambda: layers.Discretization(bin_boundaries=[0.0]), FLAT, "float32"),
    "StringLookup": (lambda: _vocabulary(layers.StringLookup), (1,), "string"),
    "TextVectorization": (
        lambda: _vocabulary(layers.TextVectorization, output_sequence_length=4),
        (1,),
        "string",
    ),
}


def model_with(name):
    """Return a model of a case, and samples."""
    make, shape, dtype = CASES[name]
    inputs = keras.Input(shape, dtype=dtype)
    outputs = make()(inputs)
    if "int" in outputs.dtype:
        outputs = layers.Embedding(8, 2)(outputs)
    if len(outputs.shape) > 2:
        outputs = layers.Flatten()(outputs)
    model = keras.Model(inputs, layers.Dense(2)(outputs))
    drawn = np.random.default_rng(0).standard_normal((12, *shape))
    samples = np.full(drawn.shape, "left") if dtype == "string" else np.abs(drawn).astype(dtype)
    return model, samples


def said(model, quantization="generic_int8"):
    """Return what `kc.compress` warns of refusals."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kc.compress(model, quantization=quantization)
    return [w for w in caught if "kc.convert refuses" in str(w.message)]


def test_each_row_that_is_refused_is_tested():
    refused = {name for table in (LAYERS, FUNCTIONS) for name, row in table.items() if row.refusal}
    assert refused | {"Conv3D"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_compress_says_what_conversion_will_refuse(name):
    (warning,) = said(model_with(name)[0])
    message = str(warning.message)
    assert f"({name})" in message and len(message) < 600
    assert warning.filename == __file__
    ways_out = {IN_FLOAT: "allow_float=", NO_OPERATOR: "leave them out"}
    assert [way_out for why, way_out in ways_out.items() if why in message]


@pytest.mark.verify("converts each layer")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_conversion_refuses_it(name):
    model, samples = model_with(name)
    with pytest.raises(kc.CompressionError) as raised:
        kc.convert(model, "generic_int8", samples)
    assert len(str(raised.value)) < 600


def test_nothing_is_said_of_layers_that_convert_and_of_other_widths():
    model = keras.Sequential(
        [keras.Input(FLAT), layers.Dense(4, activation="silu"), layers.LeakyReLU(), layers.Dense(2)]
    )
    assert not said(model)
    assert not said(model_with("ELU")[0], "generic_int16x8")
    assert operations.of(model.layers[0]).refusal is None


def test_many_layers_are_counted():
    many = [layers.ELU() for _ in range(7)]
    (warning,) = said(keras.Sequential([keras.Input(FLAT), *many, layers.Dense(2)]))
    assert "and 2 more" in str(warning.message)
