"""The wrapper: mask, then rounding, then the layer's own call; its state is saved in files."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_compress.pruning.criteria.magnitude import Magnitude
from keras_compress.pruning.patterns.unstructured import Unstructured
from keras_compress.quantization.quantizers.abs_max import AbsMax
from keras_compress.spec import Pruning
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.config import WeightQuantization
from keras_compress.wrappers.phase import Phase

PRUNING = Pruning(pattern=Unstructured(), criterion=Magnitude())
INT8 = WeightQuantization(8, per_channel=True, quantizer=AbsMax())
INT4_ONE_SCALE = WeightQuantization(4, per_channel=False, quantizer=AbsMax())
X = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)


def wrapper(layer=None, shape=X.shape, **options):
    keras.utils.set_random_seed(0)
    made = CompressedLayer(layer or layers.Dense(4, name="head"), **options)
    made.build(shape)
    return made


def prune(made):
    """Prune a third of the weights, in every channel."""
    (prunable,) = made.prunable_kernels
    mask = np.ones(prunable.mask.shape, np.float32)
    mask.flat[::3] = 0
    prunable.mask.assign(mask)
    return mask


def test_the_kernel_is_masked_then_rounded():
    made = wrapper(pruning=PRUNING, quantization=INT8)
    mask = prune(made)
    (kernel,) = made.kernels
    masked = made.layer.kernel.numpy() * mask
    scale = np.abs(masked).max(axis=0) / 127
    expected = np.round(masked / scale) * scale
    np.testing.assert_allclose(made.effective_kernel(kernel), expected, atol=1e-6)
    np.testing.assert_allclose(made(X), X @ expected + made.layer.bias, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(made.effective_kernel(kernel))[mask == 0], 0)


def test_the_layers_own_weights_are_not_touched_by_a_call():
    made = wrapper(pruning=PRUNING, quantization=INT8)
    before = made.layer.kernel.numpy()
    prune(made)
    made(X, training=True)
    np.testing.assert_array_equal(made.layer.kernel, before)


def test_before_its_phase_the_kernel_is_only_masked():
    made = wrapper(pruning=PRUNING, quantization=INT8)
    mask = prune(made)
    made.set_phase(Phase.OFF)
    (kernel,) = made.kernels
    np.testing.assert_array_equal(made.effective_kernel(kernel), made.layer.kernel * mask)


def test_gradients_reach_kept_weights_and_no_others():
    import tensorflow as tf

    made = wrapper(pruning=PRUNING, quantization=INT8)
    mask = prune(made)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made(X, training=True) ** 2)
    (gradient,) = tape.gradient(loss, [made.layer.kernel.value])
    assert np.all((gradient.numpy() != 0) == (mask != 0))


def test_only_the_layers_weights_are_trainable():
    made = wrapper(pruning=PRUNING, quantization=INT8)
    assert [weight.path for weight in made.trainable_weights] == [
        weight.path for weight in made.layer.trainable_weights
    ]


@pytest.mark.parametrize("learning", [True, False])
def test_a_normalization_learns_until_it_is_frozen(learning):
    norm = layers.BatchNormalization(name="norm")
    made = wrapper(quantization=INT8, batch_norm=norm)
    made.set_phase(Phase.LEARNING if learning else Phase.FROZEN)
    before = norm.moving_mean.numpy()
    outputs = np.asarray(made(X * 3 + 1, training=True))
    assert (norm.moving_mean.numpy() != before).any() == learning
    assert np.allclose(outputs.mean(axis=0), 0, atol=1e-4) == learning


def test_with_one_scale_the_grid_is_that_of_the_folded_kernel():
    norm = layers.BatchNormalization(name="norm")
    made = wrapper(quantization=INT4_ONE_SCALE, batch_norm=norm)
    factor = np.float32([0.5, 1, 2, 4])
    norm.set_weights([factor, np.zeros(4), np.zeros(4), np.full(4, 1 - norm.epsilon)])
    (kernel,) = made.kernels
    folded = np.asarray(made.effective_kernel(kernel)) * factor
    step = np.abs(made.layer.kernel.numpy() * factor).max() / 7
    np.testing.assert_allclose(made.scale(kernel), np.full((1, 1), step), rtol=1e-4)
    np.testing.assert_allclose(folded / step, np.round(folded / step), atol=1e-3)


def test_a_scale_can_be_fixed_and_released():
    made = wrapper(quantization=INT8)
    (kernel,) = made.kernels
    first = np.asarray(made.scale(kernel))
    made.fix_scale(kernel)
    made.layer.kernel.assign(made.layer.kernel * 3)
    np.testing.assert_allclose(made.scale(kernel), first)
    made.release_scale(kernel)
    np.testing.assert_allclose(made.scale(kernel), first * 3, rtol=1e-6)


@pytest.mark.parametrize("phase", list(Phase))
def test_files_carry_masks_steps_and_phase(phase, tmp_path):
    inputs = keras.Input((6,))
    made = CompressedLayer(
        layers.Dense(4, name="head"),
        pruning=PRUNING,
        quantization=INT8,
        batch_norm=layers.BatchNormalization(name="norm"),
    )
    model = keras.Model(inputs, made(inputs))
    prune(made)
    made.set_phase(phase)
    made.step.assign(7)
    model.save(tmp_path / "model.keras")
    loaded_model = keras.saving.load_model(tmp_path / "model.keras")
    loaded = loaded_model.get_layer("head")
    assert loaded.phase is phase and int(loaded.step) == 7
    assert loaded.quantization == INT8
    assert loaded.pruning.pattern == PRUNING.pattern
    np.testing.assert_array_equal(loaded_model(X), model(X))


def test_half_precision_computes_in_half_and_keeps_masks_whole():
    made = wrapper(layers.Dense(4, dtype="mixed_float16"), pruning=PRUNING, dtype="mixed_float16")
    assert keras.backend.standardize_dtype(made(X).dtype) == "float16"
    assert made.prunable_kernels[0].mask.dtype == "float32"
