"""Correct the mean error of quantized layers through their biases."""

import keras
import numpy as np

from keras_compress.data.types import Samples
from keras_compress.post_training.layerwise_outputs import collect, require_calibrated, walk
from keras_compress.wrappers.compressed_lstm import CompressedLstm


def correct_biases(
    model: keras.Model,
    data: Samples,
    *,
    samples: int = 512,
    batch_size: int = 64,
    progress: bool | None = None,
) -> keras.Model:
    """Shift the mean of each output channel of a compressed model back to the float model's mean.

        b <- b + E[W x] - E[Q(W) x']

    The inputs x have passed through the float model, x' through the quantized layers before, whose
    biases are already corrected. The means are over samples and positions, before the activation
    function. Rounding shifts the mean of a channel if its inputs have a nonzero mean, as after a
    ReLU. The shift is larger for fewer weights per channel (depthwise) and for fewer bits.

    If a BatchNormalization is folded into the layer, the correction goes into its shift. A layer
    with neither bias nor normalization is not changed, nor is an LSTM, whose biases are inside
    activations.

    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias
    correction", section 4.2 and appendix D (the empirical form); Finkelstein et al. 2019,
    "Fighting quantization bias with bias".

    Args:
        model: A model that `kc.compress` returned, after `kc.calibrate`, and after
            `kc.round_weights` if you use it. It is changed in place.
        data: Samples as for `kc.calibrate`. Labels are not needed.
        samples: Maximum number of samples. Default 512.
        batch_size: Samples in a batch, for data that are not batched already. Default 64.
        progress: Whether to show a bar; `None` shows it on a terminal.

    Returns:
        The same model.

    Raises:
        InvalidArgumentError: The model is not quantized or not calibrated, or there are no data.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> model = kc.compress(model, quantization=kc.Quantization(weight_bits=4))
        >>> x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
        >>> model = kc.correct_biases(kc.calibrate(model, x), x)
    """
    require_calibrated(model, "correct_biases")
    batches = collect(model, data, samples, batch_size)

    def visit(site):
        if shift_shape(site.wrapper) is not None:
            correct_bias_of(site)

    walk(model, batches, visit, progress)
    return model


def shift_shape(wrapper):
    """Return the shape of the shift that a wrapped layer can add to its outputs.

    Args:
        wrapper: A `CompressedLayer`.

    Returns:
        The shape of its bias, or of the shift of its normalization; `None` if it has neither, or
        if its bias is inside an activation, as in an LSTM.
    """
    if isinstance(wrapper, CompressedLstm):
        return None
    if wrapper.batch_norm is not None:
        return tuple(wrapper.batch_norm.moving_mean.shape)
    bias = getattr(wrapper.layer, "bias", None)
    return None if bias is None else tuple(bias.shape)


def correct_bias_of(site):
    """Shift the means of one layer's output channels to those of the float layer.

    Args:
        site: The `Site` of a layer that has a shift.
    """
    shape = shift_shape(site.wrapper)
    float_mean = _mean(site.float_outputs(fused=False), shape)
    quantized_mean = _mean(site.quantized_outputs(), shape)
    _add_to_shift(site.wrapper, float_mean - quantized_mean)


def _mean(batches, shape):
    """Return the mean over all axes along which a bias of the given shape is constant."""
    sizes = (1,) * (batches[0].ndim - len(shape)) + shape
    axes = tuple(axis for axis, size in enumerate(sizes) if size == 1)
    total = sum(batch.sum(axis=axes, dtype="float64") for batch in batches)
    count = sum(batch.size for batch in batches) / total.size
    return (total / count).reshape(shape)


def _add_to_shift(wrapper, change):
    norm = wrapper.batch_norm
    if norm is None:
        variable = wrapper.layer.bias
        # The queries of an attention are multiplied by a constant after the bias is added.
        change = change / getattr(wrapper.layer, "factor", 1.0)
    elif norm.center:
        variable = norm.beta
    else:
        variable = norm.moving_mean
        deviation = np.sqrt(keras.ops.convert_to_numpy(norm.moving_variance) + norm.epsilon)
        change = (
            -change * deviation / (keras.ops.convert_to_numpy(norm.gamma) if norm.scale else 1.0)
        )
    variable.assign(keras.ops.convert_to_numpy(variable) + change)
