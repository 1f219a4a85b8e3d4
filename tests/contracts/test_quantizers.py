"""Laws that every weight quantizer keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.quantizers.lloyd_max import LloydMax
from keras_compress.quantization.quantizers.mean import Mean
from keras_compress.quantization.quantizers.power_of_two import PowerOfTwo
from keras_compress.support import plugins

PACKAGE = "keras_compress.quantization.quantizers"
QUANTIZERS = [plugins.get(PACKAGE, name)() for name in plugins.names(PACKAGE)]
QUANTIZERS += [Mean("binary"), PowerOfTwo("weights")]
SHAPE = (6, 4)
weights_of = arrays.arrays(
    np.float32, SHAPE, elements=st.floats(-8, 8, width=32).map(lambda v: np.float32(round(v, 3)))
)
every_quantizer = pytest.mark.parametrize("rule", QUANTIZERS, ids=str)
few = settings(max_examples=8)


def _bits(rule, bits):
    try:
        rule.stored_bits(bits)
    except InvalidArgumentError:
        return 2
    return bits


def _rounded(rule, weights, bits, axes=(0,)):
    scale = np.asarray(rule.scale(weights, axes, bits))
    return np.asarray(rule.quantize(weights, scale, axes, bits)), scale


@every_quantizer
@few
@given(weights=weights_of, bits=st.sampled_from([2, 4, 8]))
def test_rounded_weights_are_integers_of_the_stored_width(rule, weights, bits):
    bits = _bits(rule, bits)
    rounded, scale = _rounded(rule, weights, bits)
    assert scale.shape == (1, 4) and (scale > 0).all() and np.isfinite(scale).all()
    integers = rounded / scale
    np.testing.assert_allclose(integers, np.round(integers), atol=1e-3)
    assert np.abs(np.round(integers)).max() <= 2 ** (rule.stored_bits(bits) - 1) - 1


@every_quantizer
@few
@given(weights=weights_of, bits=st.sampled_from([2, 4, 8]))
def test_rounding_with_the_same_step_again_changes_nothing(rule, weights, bits):
    if isinstance(rule, LloydMax):
        pytest.skip("codes that are found anew from codes may merge")
    bits = _bits(rule, bits)
    rounded, scale = _rounded(rule, weights, bits)
    again = np.asarray(rule.quantize(rounded, scale, (0,), bits))
    np.testing.assert_allclose(again, rounded, rtol=1e-5, atol=1e-6)


@every_quantizer
@few
@given(weights=weights_of, bits=st.sampled_from([2, 4, 8]))
def test_order_is_kept(rule, weights, bits):
    rounded, _ = _rounded(rule, weights, _bits(rule, bits))
    order = np.argsort(weights, axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(rounded, order, axis=0), axis=0) >= -1e-5).all()


@every_quantizer
@few
@given(weights=weights_of, bits=st.sampled_from([2, 4, 8]))
def test_error_is_at_most_half_a_step_inside_the_range(rule, weights, bits):
    if not rule.uniform or isinstance(rule, Mean):
        pytest.skip("its values do not lie at equal distances")
    rounded, scale = _rounded(rule, weights, bits)
    inside = np.abs(weights) <= scale * (2 ** (bits - 1) - 1)
    error = np.where(inside, np.abs(rounded - weights) / scale, 0)
    assert error.max() <= 0.5 + 1e-3


@few
@given(weights=weights_of, bits=st.sampled_from([2, 3, 4, 8]))
def test_least_squares_is_never_worse_than_abs_max_nor_lloyd_max_than_it(weights, bits):
    errors = {
        name: np.sum((_rounded(plugins.get(PACKAGE, name)(), weights, bits)[0] - weights) ** 2)
        for name in ("abs_max", "least_squares")
    }
    assert errors["least_squares"] <= errors["abs_max"] * (1 + 1e-4) + 1e-9
    if bits < 8:
        codes = np.asarray(LloydMax().codes(weights, (0,), bits))[0]
        nearest = np.abs(weights[..., None] - codes[None]).min(axis=-1)
        assert np.sum(nearest**2) <= errors["least_squares"] * (1 + 1e-4) + 1e-9


@every_quantizer
def test_zero_stays_zero_and_configs_survive(rule):
    weights = np.zeros(SHAPE, np.float32)
    weights[:, 1] = [0, 1, 0, -2, 0, 3]
    rounded, _ = _rounded(rule, weights, _bits(rule, 4))
    assert not rounded[weights == 0].any()
    assert plugins.from_config(PACKAGE, plugins.to_config(PACKAGE, rule)) == rule
    assert isinstance(rule, WeightQuantizer)


@every_quantizer
def test_gradient_of_the_weights_is_that_of_the_clipped_identity(rule):
    import tensorflow as tf

    values = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    bits = _bits(rule, 4)
    scale = tf.constant(np.asarray(rule.scale(values, (0,), bits)))
    weights = tf.Variable(values)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(rule.quantize(weights, scale, (0,), bits))
    gradient = np.asarray(tape.gradient(total, weights))
    reach = np.asarray(scale) * (2 ** (bits - 1) - 1)
    passes = np.abs(values) <= reach
    if not rule.uniform or isinstance(rule, Mean):
        passes = np.ones_like(passes)
    np.testing.assert_array_equal(gradient, passes.astype("float32"))


def test_gradient_of_a_learned_step_is_that_of_finite_differences_of_the_smooth_part():
    import tensorflow as tf

    rule = plugins.get(PACKAGE, "learned_step")()
    values = np.random.default_rng(0).normal(size=(40,)).astype("float64")
    step = tf.Variable(np.array([0.31]), dtype="float64")
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(rule.quantize(tf.constant(values), step, (0,), 3))
    gradient = float(tape.gradient(total, step)[0])
    frozen = np.round(np.clip(values / 0.31, -3, 3)) - np.clip(values / 0.31, -3, 3)

    def smooth(s):
        return np.sum((np.clip(values / s, -3, 3) + frozen) * s)

    assert gradient == pytest.approx((smooth(0.31 + 1e-7) - smooth(0.31 - 1e-7)) / 2e-7, rel=1e-4)
