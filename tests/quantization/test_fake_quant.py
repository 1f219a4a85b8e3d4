"""Fake quantization against TensorFlow's operators and TFLite's grid, including gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_compress.quantization import fake_quant
from keras_compress.quantization.fake_quant import (
    activation_grid,
    branches,
    fake_quantize_activations,
    fake_quantize_weights,
    ties_away_from_zero,
    weight_limit,
)

X = np.random.default_rng(0).normal(0, 2, 500).astype(np.float32)
ends = st.floats(0.0625, 50, width=32)


def gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy()


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_as_tensorflow_rounds_them(bits):
    limit = np.abs(X).max()
    scale = limit / weight_limit(bits)

    def theirs(x):
        return tf.quantization.fake_quant_with_min_max_args(
            x, -limit, limit, num_bits=bits, narrow_range=True
        )

    found = np.asarray(fake_quantize_weights(X, scale, bits))
    # TensorFlow rounds ties up and this code rounds them to even, so the test has no ties.
    np.testing.assert_allclose(found, theirs(X), atol=1e-5)
    ours = gradient(lambda x: fake_quantize_weights(x, scale, bits), X)
    np.testing.assert_array_equal(ours, np.ones_like(X))


def test_gradients_of_clipped_weights_are_zero():
    ours = gradient(lambda x: fake_quantize_weights(x, 0.01, 8), X)
    np.testing.assert_array_equal(ours, np.abs(X) <= np.float32(1.27))


def test_the_largest_weight_of_every_channel_is_trained():
    weights = np.random.default_rng(1).normal(size=(10, 200)).astype("float32")
    scale = np.abs(weights).max(axis=0, keepdims=True) / np.float32(127)
    ours = gradient(lambda x: fake_quantize_weights(x, scale, 8), weights)
    np.testing.assert_array_equal(ours, np.ones_like(weights))
    assert (np.abs(weights) > scale * np.float32(127)).any()  # in the last bit


def test_a_channel_has_its_own_scale():
    weights = np.stack([X[:50], X[:50] * 100], axis=1)
    scale = np.abs(weights).max(axis=0, keepdims=True) / 127
    rounded = np.asarray(fake_quantize_weights(weights, scale, 8))
    np.testing.assert_allclose(rounded[:, 1], rounded[:, 0] * 100, rtol=1e-5)


def by_definition(weights, scale, bits):
    """Round weights by Keras' operations, whose gradients are TensorFlow's."""
    limit = float(weight_limit(bits))
    edge = limit * scale * (1.0 + 1e-6)
    inside = ops.clip(weights, -edge, edge)
    rounded = ops.clip(ops.round(inside / scale), -limit, limit) * scale
    return inside + ops.stop_gradient(rounded - inside)


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("may_branch", [False, True])
@pytest.mark.parametrize("clipping", [1.0, 0.5], ids=["all inside", "half of the range clipped"])
@pytest.mark.parametrize(("shape", "axes"), [((6, 5), (0,)), ((3, 3, 2, 4), (0, 1, 2)), ((7,), 0)])
def test_weights_and_gradients_are_those_of_the_definition(
    shape, axes, clipping, may_branch, traced, monkeypatch
):
    monkeypatch.setattr(fake_quant, "_WORTH_A_BRANCH", 1)
    rng = np.random.default_rng(3)
    weights = tf.constant(rng.normal(size=shape) * (rng.random(shape) > 0.3), "float32")
    upstream = tf.constant(rng.normal(size=shape), "float32")
    scale = clipping * ops.max(ops.abs(weights), axes, keepdims=True) / np.float32(127)

    def both(function):
        def run():
            with tf.GradientTape() as tape, branches(may_branch):
                tape.watch([weights, scale])
                outputs = function(weights, scale, 8)
            return [outputs, *tape.gradient(outputs, [weights, scale], upstream)]

        return (tf.function(run) if traced else run)()

    (found, *ours), (expected, *theirs) = both(fake_quantize_weights), both(by_definition)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-5)


def test_weights_that_round_to_zero_have_no_sign():
    weights = np.float32([-0.1, -0.0, 0.0, 0.1, -1.0])
    assert not np.signbit(fake_quantize_weights(weights, 0.5, 8)[:4]).any()


@settings(max_examples=25)
@given(low=ends, high=ends, bits=st.sampled_from([4, 8]))
def test_activations_lie_on_the_grid_that_tflite_lays(low, high, bits):
    scale, zero_point, q_min, q_max = map(float, activation_grid(-low, high, bits))
    assert q_min <= zero_point <= q_max
    assert zero_point == np.round(zero_point)
    outputs = np.asarray(fake_quantize_activations(X, -low, high, bits))
    integers = outputs / scale + zero_point
    np.testing.assert_allclose(integers, np.round(integers), atol=1e-2)
    assert np.round(integers).min() >= q_min and np.round(integers).max() <= q_max
    exact = np.clip(np.round(X.astype(np.float64) / scale) + zero_point, q_min, q_max)
    assert np.mean(np.round(integers) == exact) > 0.98
    np.testing.assert_allclose(outputs, (exact - zero_point) * scale, atol=1.01 * scale)


@settings(max_examples=10)
@given(low=ends, high=ends)
def test_rounding_twice_changes_nothing_and_zero_stays(low, high):
    once = fake_quantize_activations(X, -low, high, 8)
    np.testing.assert_allclose(fake_quantize_activations(once, -low, high, 8), once, atol=1e-5)
    assert float(fake_quantize_activations(np.zeros(1, np.float32), -low, high, 8)[0]) == 0.0


@settings(max_examples=25)
@given(
    values=st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=30),
    low=ends,
    high=ends,
    bits=st.sampled_from([2, 4, 8, 16]),
)
def test_laws_of_activations_at_every_width(values, low, high, bits):
    values = np.sort(np.array(values, np.float32))
    scale, zero_point, q_min, q_max = map(float, activation_grid(-low, high, bits))
    rounded = np.asarray(fake_quantize_activations(values, -low, high, bits))
    assert (np.diff(rounded) >= 0).all(), "the order is kept"
    again = np.asarray(fake_quantize_activations(rounded, -low, high, bits))
    np.testing.assert_allclose(again, rounded, atol=1e-3 * scale + 1e-6 * max(low, high))
    first, last = (q_min - zero_point) * scale, (q_max - zero_point) * scale
    inside = (first <= values) & (values <= last)
    error = np.abs(rounded - values)[inside]
    assert error.max(initial=0) <= 0.5 * scale + 1e-6 * max(low, high)


@settings(max_examples=10)
@given(low=ends, high=ends, bits=st.sampled_from([4, 8, 16]))
def test_gradients_are_finite_differences_of_the_clipping(low, high, bits):
    scale, zero_point, q_min, q_max = map(float, activation_grid(-low, high, bits))
    first, last = (q_min - zero_point) * scale, (q_max - zero_point) * scale
    found = gradient(lambda x: fake_quantize_activations(x, -low, high, bits), X)
    step = 1e-6
    wide = X.astype(np.float64)
    difference = np.clip(wide + step, first, last) - np.clip(wide - step, first, last)
    smooth = np.minimum(np.abs(wide - first), np.abs(wide - last)) > 1e-4
    np.testing.assert_allclose(found[smooth], difference[smooth] / (2 * step), atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.5, 3.0), (-3.0, -0.5)])
def test_a_range_without_zero_is_widened_to_hold_it(low, high):
    inputs = np.float32([0.0])
    assert float(fake_quantize_activations(inputs, low, high, 8)[0]) == 0.0
    scale, *_ = activation_grid(low, high, 8)
    assert float(scale) == pytest.approx(max(abs(low), abs(high)) / 255)


def test_sixteen_bits_are_symmetric():
    scale, zero_point, q_min, q_max = map(float, activation_grid(-1.0, 4.0, 16))
    assert (zero_point, q_min, q_max) == (0, -32767, 32767)
    assert scale == pytest.approx(4 / 32767)
    outputs = np.asarray(fake_quantize_activations(X, -1.0, 4.0, 16))
    assert np.abs(outputs - np.clip(X, -4, 4)).max() <= 0.51 * scale + 1e-6


def test_gradients_of_activations_pass_inside_the_range_only():
    ours = gradient(lambda x: fake_quantize_activations(x, -1.0, 2.0, 8), X)
    scale, zero_point, _, q_max = map(float, activation_grid(-1.0, 2.0, 8))
    low, high = -zero_point * scale, (q_max - zero_point) * scale
    inside = (low <= X) & (high >= X)
    np.testing.assert_array_equal(ours, inside)


@settings(max_examples=25)
@given(low=st.just(0.0) | ends, high=ends, bits=st.sampled_from([4, 8, 16]))
def test_the_gradient_of_a_single_pass_is_tensorflows(low, high, bits):
    scale, zero_point, q_min, q_max = map(float, activation_grid(-low, high, bits))
    first, last = (q_min - zero_point) * scale, (q_max - zero_point) * scale
    beyond = 1e-4 * (last - first)
    ends = [first - beyond, first + beyond, last - beyond, last + beyond]
    values = np.concatenate([X, ends, [0.0] if low else []]).astype(np.float32)
    given = gradient(
        lambda x: fake_quantize_activations(x, -low, high, bits, single_pass=True), values
    )
    theirs = gradient(lambda x: fake_quantize_activations(x, -low, high, bits), values)
    np.testing.assert_array_equal(given, theirs)


@pytest.mark.parametrize("single_pass", [False, True])
def test_a_lower_end_of_zero_is_the_same_as_number_and_as_tensor(single_pass):
    values = np.concatenate([X, [0.0, 2.0, 2.5]]).astype(np.float32)

    def of(low):
        return lambda x: fake_quantize_activations(x, low, 2.0, 8, single_pass)

    for low in (0.0, 0):
        np.testing.assert_array_equal(of(low)(values), of(tf.constant(0.0))(values))
        np.testing.assert_array_equal(
            gradient(of(low), values), gradient(of(tf.constant(0.0)), values)
        )


@pytest.mark.parametrize("low", [0.0, 1.0])
def test_the_ends_of_the_range_are_inside_it_in_a_single_pass(low):
    _, zero_point, _, q_max = activation_grid(-low, 2.0, 8)
    scale = np.float32((2.0 + low) / 255)
    values = np.float32([-zero_point * scale, (q_max - zero_point) * scale])
    given = gradient(lambda x: fake_quantize_activations(x, -low, 2.0, 8, single_pass=True), values)
    np.testing.assert_array_equal(given, [1, 1])


def test_the_way_without_tensorflows_kernel_gives_the_same(monkeypatch):
    fused = fake_quantize_activations(X, -1.0, 2.0, 8)
    monkeypatch.setattr(keras.backend, "backend", lambda: "other")
    plain = fake_quantize_activations(X, -1.0, 2.0, 8)
    np.testing.assert_allclose(plain, fused, atol=1e-5)


def test_a_range_of_nothing_gives_zeros_not_nan():
    outputs = np.asarray(fake_quantize_activations(X, 0.0, 0.0, 8))
    assert np.abs(outputs).max() <= 1e-8


def test_ties_of_averages_go_away_from_integer_zero():
    scale, zero_point, *_ = map(float, activation_grid(-1.0, 1.55, 8))
    # TFLite's integers are 128 below the unsigned ones here.
    integers = np.arange(-100, 100) + 0.5
    inputs = ((integers + 128 - zero_point) * scale).astype(np.float32)
    moved = ties_away_from_zero(inputs, -1.0, 1.55, 8)
    outputs = np.asarray(fake_quantize_activations(moved, -1.0, 1.55, 8))
    found = np.round(outputs / scale + zero_point) - 128
    np.testing.assert_array_equal(found, np.sign(integers) * np.ceil(np.abs(integers)))
