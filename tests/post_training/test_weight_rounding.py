"""Rounded weights: better outputs than nearest, and the same integers in every saved form."""

import functools

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.deployment import prepare
from keras_compress.converters.weight_scales import integers
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.post_training.rounding.adaround import AdaRound
from keras_compress.tflite import flatbuffer
from keras_compress.wrappers.compressed_layer import CompressedLayer

TRACES = pytest.mark.verify("traces an optimization for each layer")
METHODS = ["gptq", pytest.param("adaround", marks=TRACES)]
QUICK = AdaRound(steps=100, batch_size=16, learning_rate=0.05)


def _calibrated(network, samples, bits=4, **options):
    spec = kc.Quantization(weight_bits=bits, **options)
    model = kc.compress(network, quantization=spec)
    return kc.calibrate(model, samples, method="min_max", batch_size=128)


def _error(model, network, samples):
    return np.mean((np.asarray(model(samples)) - np.asarray(network(samples))) ** 2)


def _kernels(model):
    wrappers = [layer for layer in model.layers if isinstance(layer, CompressedLayer)]
    return [np.asarray(w.effective_kernel(k)) for w in wrappers for k in w.kernels]


@pytest.fixture(scope="module")
def calibrated(network, samples):
    """A model whose weights no method has rounded. Tests only read it."""
    return _calibrated(network, samples)


@pytest.fixture(scope="module")
def rounded(network, samples):
    """The model that a method has rounded, made when it is asked for. Tests only read it."""

    @functools.cache
    def by(method):
        model = _calibrated(network, samples)
        rounding = QUICK if method == "adaround" else method
        return kc.round_weights(model, samples, rounding, correct_bias=False)

    return by


@pytest.mark.parametrize("rounding", METHODS)
def test_outputs_are_nearer_to_float_than_those_of_nearest(rounded, network, rounding):
    unseen = np.random.default_rng(2).uniform(size=(128, 8, 8, 3)).astype("float32")
    nearest = _error(rounded("nearest"), network, unseen)
    assert _error(rounded(rounding), network, unseen) < 0.5 * nearest


def test_nearest_is_what_the_wrapper_does_by_itself(rounded, calibrated):
    for ours, own in zip(_kernels(rounded("nearest")), _kernels(calibrated), strict=True):
        np.testing.assert_allclose(ours, own, atol=1e-6)


@pytest.mark.parametrize("rounding", METHODS)
def test_weights_move_by_less_than_a_step_up_or_down(rounded, calibrated, rounding):
    moved = 0
    for before, after in zip(_wrapped(calibrated), _wrapped(rounded(rounding)), strict=True):
        (kernel,) = before.kernels
        steps = np.asarray(before.scale(kernel))
        distance = np.asarray(after.effective_kernel(kernel)) - before.masked_kernel(kernel)
        moved += np.sum(np.abs(distance) > 0.501 * steps)
        if rounding == "adaround":
            assert np.abs(distance / steps).max() <= 1.001
        np.testing.assert_allclose(after.scale(kernel), steps, rtol=1e-6)
    assert moved


def _wrapped(model):
    return [layer for layer in model.layers if isinstance(layer, CompressedLayer)]


@pytest.mark.parametrize(
    "per_channel", [True, pytest.param(False, marks=pytest.mark.verify("converts once more"))]
)
def test_file_and_saved_model_hold_the_rounded_integers(network, samples, per_channel, tmp_path):
    model = _calibrated(network, samples, per_channel=per_channel, per_channel_dense=per_channel)
    kc.round_weights(model, samples, "gptq")
    expected = {wrapper.name: _integers(wrapper) for wrapper in _wrapped(model)}
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    for wrapper in _wrapped(loaded):
        np.testing.assert_array_equal(_integers(wrapper), expected[wrapper.name])
    converted = kc.convert(loaded)
    constants = [t for t in flatbuffer.read(converted).tensors if t.is_constant]
    for kernel in prepare(loaded).kernels:
        actual = integers(kernel)
        source = next(w for w in _wrapped(loaded) if w.name == kernel.layer)
        (description,) = source.kernels
        in_keras = description.to_deployed(expected[kernel.layer])
        np.testing.assert_array_equal(np.abs(actual), np.abs(in_keras))
        assert any(
            tensor.size == actual.size and np.array_equal(tensor.data.ravel(), actual.ravel())
            for tensor in constants
        )
    labels = np.asarray(loaded(samples)).argmax(axis=1)
    assert kc.evaluate(converted, samples, labels, latency_runs=0).model.accuracy >= 0.98


def _integers(wrapper):
    """The integers before folding, whose sign a negative factor flips."""
    (kernel,) = wrapper.kernels
    factor = wrapper.folding_factor(kernel)
    weights = np.asarray(wrapper.effective_kernel(kernel))
    weights = weights if factor is None else weights * np.asarray(factor)
    ratio = weights / np.asarray(wrapper.scale(kernel))
    np.testing.assert_allclose(ratio, np.round(ratio), atol=1e-3)
    return np.round(ratio).astype(int)


def test_stripped_models_keep_the_rounded_weights(rounded):
    plain = kc.strip(rounded("gptq"))
    wrapper = rounded("gptq").get_layer("hidden")
    np.testing.assert_allclose(
        plain.get_layer("hidden").kernel, wrapper.effective_kernel(wrapper.kernels[0]), atol=1e-6
    )


@pytest.mark.parametrize(
    "rounding", ["gptq", pytest.param(AdaRound(steps=10), marks=TRACES)], ids=["gptq", "adaround"]
)
def test_pruned_weights_stay_zero(network, samples, rounding):
    pruning, quantization = kc.Pruning(), kc.Quantization(weight_bits=4)
    model = kc.compress(network, pruning=pruning, quantization=quantization)
    for wrapper in _wrapped(model):
        for prunable in wrapper.prunable_kernels:
            mask = np.arange(np.size(prunable.mask)).reshape(prunable.mask.shape) % 2
            prunable.mask.assign(mask)
    kc.round_weights(kc.calibrate(model, samples), samples, rounding)
    for wrapper in _wrapped(model):
        for prunable in wrapper.prunable_kernels:
            kept = np.asarray(prunable.mask) > 0
            assert not np.asarray(prunable.variable)[~kept].any()
            assert np.asarray(prunable.variable)[kept].any()


@pytest.fixture(scope="module")
def dense():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24,))
    return keras.Model(inputs, keras.layers.Dense(8, name="head")(inputs))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(3).uniform(size=(64, 24)).astype("float32")


def test_the_seed_decides(dense, rows):
    once, again, other = (
        _kernels(kc.round_weights(_calibrated(dense, rows), rows, AdaRound(steps=40), seed=seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_codebooks_keep_their_own_rounding(dense, rows):
    model = _calibrated(dense, rows, weight_quantizer="lloyd_max")
    before = _kernels(model)
    kc.round_weights(model, rows, "gptq", correct_bias=False)
    np.testing.assert_array_equal(before, _kernels(model))


def test_a_layer_that_is_called_twice_is_rounded_once(samples):
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    network = keras.Model(inputs, keras.layers.Flatten()(shared(shared(inputs))))
    model = _calibrated(network, samples)
    kc.round_weights(model, samples, "gptq", samples=50)
    assert np.isfinite(_integers(model.get_layer("shared"))).all()


def test_refuses_what_cannot_be_rounded(network, calibrated, samples):
    with pytest.raises(InvalidArgumentError, match="kc.compress"):
        kc.round_weights(network, samples)
    with pytest.raises(InvalidArgumentError, match="kc.calibrate"):
        kc.round_weights(kc.compress(network, quantization=kc.Quantization()), samples)
    with pytest.raises(UnknownNameError, match="adaround"):
        kc.round_weights(calibrated, samples, "adarond")
    with pytest.raises(InvalidArgumentError, match="no data"):
        kc.round_weights(calibrated, iter([]))
    with pytest.raises(InvalidArgumentError, match="steps"):
        AdaRound(steps=0)
