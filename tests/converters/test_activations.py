"""Every activation that Keras has by name becomes a file, plain and calibrated, or says why not."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from tests.fixtures.versions import SOFTSIGN

# `glu` halves its input, `threshold` needs arguments; the others are no activations.
NOT_BY_NAME = {"glu", "threshold", "get", "serialize", "deserialize"}
ACTIVATIONS = sorted(
    name
    for name, value in vars(keras.activations).items()
    if inspect.isfunction(value) and name not in NOT_BY_NAME
)
# TFLite computes an operator of theirs in float alone.
IN_FLOAT = {"elu", "log_sigmoid", "squareplus", "sparsemax"}


OTHER_WAY = pytest.mark.verify("converts and evaluates each activation in each of three ways")


def cases(names, way):
    """Return the cases of a test, those that an older converter refuses marked.

    The quick suite takes each activation in one way: 0 in float, 1 plain, 2 calibrated.
    """
    return [
        pytest.param(name, marks=[SOFTSIGN] * (name == "softsign") + [OTHER_WAY] * other)
        for name in sorted(names)
        for other in [ACTIVATIONS.index(name) % 3 != way]
    ]


def network(activation):
    keras.utils.set_random_seed(0)
    parts = [layers.Dense(8, activation=activation, name="hidden"), layers.Dense(2, name="head")]
    return keras.Sequential([keras.Input((8,)), *parts])


def plain(activation, samples):
    return network(activation)


def calibrated(activation, samples):
    return kc.calibrate(kc.compress(network(activation), quantization="generic_int8"), samples)


def integer_cases(names):
    """Return the cases (way, activation) of the two ways to an integer file."""
    ways = enumerate((plain, calibrated), 1)
    return [
        pytest.param(make, *case.values, marks=case.marks, id=f"{case.values[0]}-{make.__name__}")
        for way, make in ways
        for case in cases(names, way)
    ]


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


def test_the_list_is_that_of_keras():
    assert {"silu", "swish", "gelu", "relu", "softmax", "mish", *IN_FLOAT} <= set(ACTIVATIONS)


@pytest.mark.parametrize("activation", cases(ACTIVATIONS, 0))
def test_a_float_file_answers_as_keras(activation, samples):
    model = network(activation)
    converted = kc.convert(model, "float32")
    result = kc.evaluate(converted, samples, baseline=model, latency_runs=0)
    assert result.output_error["rmse"] < 1e-5


@pytest.mark.parametrize(("make", "activation"), integer_cases({*ACTIVATIONS} - IN_FLOAT))
def test_an_integer_file_answers_within_8_bits(activation, make, samples):
    converted = kc.convert(make(activation, samples), "generic_int8", samples)
    result = kc.evaluate(converted, samples, baseline=network(activation), latency_runs=0)
    # Measured: 14.3 dB for sparse_plus under ranges of the converter, 21 dB or more otherwise.
    assert result.output_error["sqnr_db"] > 12


@pytest.mark.filterwarnings("ignore:kc.convert refuses these layers:UserWarning")
@pytest.mark.parametrize(("make", "activation"), integer_cases(IN_FLOAT))
def test_what_runs_in_float_alone_is_refused_by_name(activation, make, samples):
    with pytest.raises(kc.ConversionError, match="allow_float"):
        kc.convert(make(activation, samples), "generic_int8", samples)
