"""The fused kernel against `BatchNormalization` itself: outputs, gradients, moving averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_compress.wrappers import fused_normalization
from keras_compress.wrappers.fused_normalization import FusedBatchNormalization, normalize


def normalization(shape, **options):
    norm = keras.layers.BatchNormalization(**options)
    norm.build(shape)
    rng = np.random.default_rng(0)
    for variable in norm.variables:
        variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    return norm


def step(call, norm, x):
    """Return outputs, gradients of the inputs and of gamma and beta, and the moving averages."""
    weights = [v.value for v in norm.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = call(norm, x)
        loss = tf.reduce_sum(outputs**3)
    moved = [keras.ops.convert_to_numpy(v) for v in norm.non_trainable_variables]
    return [outputs, *tape.gradient(loss, [x, *weights]), *moved]


OPTIONS = [
    {},
    {"scale": False, "momentum": 0.5},
    {"center": False, "epsilon": 0.1},
    {"axis": 3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "XLA"])
def test_training_is_that_of_the_layer(options, compiled):
    x = tf.constant(np.random.default_rng(1).normal(3, 2, (4, 5, 3, 6)), tf.float32)
    wrap = tf.function(jit_compile=True) if compiled else lambda function: function
    fused, plain = normalization(x.shape, **options), normalization(x.shape, **options)
    ours = step(wrap(lambda norm, x: normalize(norm, x, True)), fused, x)
    expected = step(lambda norm, x: norm(x, training=True), plain, x)
    for value, reference in zip(ours, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_layer_that_is_fused_trains_as_its_parent(options):
    x = tf.constant(np.random.default_rng(1).normal(3, 2, (4, 5, 3, 6)), tf.float32)
    plain = normalization(x.shape, **options)
    fused = FusedBatchNormalization.of(plain, "fused")
    fused.build(x.shape)
    fused.set_weights(plain.get_weights())
    ours, expected = (step(lambda norm, x: norm(x, training=True), n, x) for n in (fused, plain))
    for value, reference in zip(ours, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-3, atol=1e-3)


def test_the_kernel_is_used_also_for_batches_of_any_length():
    x = tf.constant(np.random.default_rng(1).normal(3, 2, (4, 5, 3, 6)), tf.float32)
    fused, plain = normalization(x.shape), normalization(x.shape)
    signature = tf.TensorSpec((None, 5, 3, 6), tf.float32)
    traced = tf.function(lambda x: normalize(fused, x, True)).get_concrete_function(signature)
    assert "FusedBatchNormV3" in {op.type for op in traced.graph.get_operations()}
    np.testing.assert_allclose(traced(x), plain(x, training=True), rtol=1e-4, atol=1e-4)
    averages = (keras.ops.convert_to_numpy(norm.moving_variance) for norm in (fused, plain))
    np.testing.assert_allclose(*averages, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 6), {}),
        ((4, 5, 3, 6), {"axis": 1}),
        ((4, 5, 3, 6), {"epsilon": 1e-6}),
        ((4, 5, 3, 6), {"dtype": "mixed_float16"}),
        ((4, 5, 3, 6), {"trainable": False}),
        ((4, 5, 3, 6), {"synchronized": True}),
    ],
    ids=str,
)
def test_what_the_kernel_does_not_compute_is_left_to_the_layer(shape, options):
    norm = normalization(shape, **options)
    assert not fused_normalization._fusible(norm, tf.zeros(shape))


def test_without_training_the_moving_averages_normalize():
    x = tf.constant(np.random.default_rng(1).normal(3, 2, (4, 5, 3, 6)), tf.float32)
    norm = normalization(x.shape)
    before = [keras.ops.convert_to_numpy(v) for v in norm.non_trainable_variables]
    np.testing.assert_array_equal(normalize(norm, x, False), norm(x, training=False))
    for variable, value in zip(norm.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
