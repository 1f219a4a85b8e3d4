"""A model trained in half precision converts to the same file, whatever the policy is by then."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.converters.full_precision import float32_policy

X = np.random.default_rng(0).normal(size=(32, 6, 6, 2)).astype("float32")
Y = np.arange(32) % 3
POLICIES = ("mixed_float16", "mixed_bfloat16")


@pytest.fixture
def policy():
    """Set a global policy for the test alone."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def _network(dtype=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype)(inputs)
    x = layers.ReLU(dtype=dtype)(layers.BatchNormalization()(x))
    x = layers.Add(dtype=dtype)([x, layers.Conv2D(4, 1)(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", dtype=dtype)(x))


def _fit(model, *callbacks):
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0, callbacks=list(callbacks))
    return model


def _pruned(model):
    callback = kc.PruningCallback(kc.ConstantSparsity(0.5))
    return _fit(kc.compress(model, pruning=kc.Pruning()), callback)


def _trained(model):
    callback = kc.QuantizationCallback(begin_step=0)
    return _fit(kc.compress(model, quantization="generic_int8"), callback)


def _calibrated(model):
    return kc.calibrate(kc.compress(model, quantization="generic_int8"), X)


WAYS = {"plain": lambda model: model, "pruned": _pruned, "calibrated": _calibrated}
WAYS |= {"trained": _trained}


def _check(model, **options):
    """Convert with the policy set, then with float32: the files must be the same."""
    kept = kc.convert(model, representative_dataset=X, **options)
    half = keras.config.dtype_policy()
    with float32_policy():
        reset = kc.convert(model, representative_dataset=X, **options)
    assert kept.content == reset.content
    assert keras.config.dtype_policy() == half


SLOW = pytest.mark.verify("two conversions for each policy, way and engine")
QUICK = [("mixed_float16", "plain"), ("mixed_bfloat16", "trained")]
OTHERS = [pair for pair in itertools.product(POLICIES, WAYS) if pair not in QUICK]


@pytest.mark.parametrize(
    "name, way", [*QUICK, *(pytest.param(*pair, marks=SLOW) for pair in OTHERS)]
)
def test_the_global_policy_does_not_matter(name, way, policy):
    policy(name)
    _check(WAYS[way](_network()))


@SLOW
@pytest.mark.parametrize("way", ["plain", "trained"])
def test_nor_does_the_policy_of_single_layers(way, policy):
    model = WAYS[way](_network("mixed_bfloat16"))
    policy("mixed_float16")
    _check(model)


@SLOW
@pytest.mark.parametrize("way", ["plain", "trained"])
def test_nor_does_the_engine(way, policy):
    policy("mixed_bfloat16")
    _check(WAYS[way](_network()), engine="litert")


@SLOW
@pytest.mark.parametrize("profile", ["float32", "float16", "dynamic_range"])
def test_nor_does_the_profile(profile, policy):
    policy("mixed_float16")
    model = _network()
    content = kc.convert(model, profile).content
    with float32_policy():
        assert kc.convert(model, profile).content == content


def test_the_policy_is_restored_after_an_error(policy):
    policy("mixed_float16")
    with pytest.raises(kc.CompressionError):
        kc.convert(_network(), "no_such_profile")
    assert keras.config.dtype_policy().name == "mixed_float16"


def test_a_lambda_of_half_precision_is_copied_with_its_function():
    keras.utils.set_random_seed(0)
    half = keras.layers.Lambda(lambda x: x * 2.0, dtype="mixed_float16", name="twice")
    model = keras.Sequential(
        [keras.Input((4,)), half, keras.layers.Dense(2, dtype="mixed_float16")]
    )
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    converted = kc.convert(model, "generic_int8", x)
    assert converted.inspect().float_tensors == 0
