"""The mean error of quantized layers, removed by their biases."""

import keras
import numpy as np

from keras_compress.data.types import Samples
from keras_compress.post_training.layerwise_outputs import collect, require_calibrated, walk


def correct_biases(
    model: keras.Model,
    data: Samples,
    *,
    samples: int = 512,
    batch_size: int = 64,
    progress: bool | None = None,
) -> keras.Model:
    """Move the mean of each output channel of a compressed model back to that of the float model.

        b <- b + E[W x] - E[Q(W) x']

    x come through the float model, x' through the quantized layers before, whose biases are
    corrected already; the means run over samples and positions, before the activation function.
    Rounding shifts the mean of a channel wherever its inputs have one, as behind a ReLU, and
    the fewer the weights of a channel (depthwise) and the bits, the more.

    Where a BatchNormalization is folded into the layer, its shift takes the correction. A layer
    with neither bias nor normalization stays as it is.

    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias
    correction", section 4.2 and appendix D (the empirical form); Finkelstein et al. 2019,
    "Fighting quantization bias with bias".

    Args:
        model: A model that `kc.compress` returned, after `kc.calibrate`, and after
            `kc.round_weights` where that is used. It is changed.
        data: Samples as for `kc.calibrate`. No labels are needed.
        samples: Number of samples to use at most. Default 512.
        batch_size: Samples in a batch of data that do not come in batches. Default 64.
        progress: Whether to show a bar; `None` shows it on a terminal.

    Returns:
        The same model.

    Raises:
        InvalidArgumentError: A model without quantization or without ranges, or no data.

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
    """Return the shape of the shift that can be added to the outputs of a wrapped layer.

    Args:
        wrapper: A `CompressedLayer`.

    Returns:
        The shape of its bias, or of the shift of its normalization; `None` if it has neither.
    """
    if wrapper.batch_norm is not None:
        return tuple(wrapper.batch_norm.moving_mean.shape)
    bias = getattr(wrapper.layer, "bias", None)
    return None if bias is None else tuple(bias.shape)


def correct_bias_of(site):
    """Move the means of one layer's output channels to those of the float layer.

    Args:
        site: The `Site` of a layer that has a shift.
    """
    shape = shift_shape(site.wrapper)
    float_mean = _mean(site.float_outputs(fused=False), shape)
    quantized_mean = _mean(site.quantized_outputs(), shape)
    _add_to_shift(site.wrapper, float_mean - quantized_mean)


def _mean(batches, shape):
    """Return the mean over all axes along which a bias of this shape is constant."""
    sizes = (1,) * (batches[0].ndim - len(shape)) + shape
    axes = tuple(axis for axis, size in enumerate(sizes) if size == 1)
    total = sum(batch.sum(axis=axes, dtype="float64") for batch in batches)
    count = sum(batch.size for batch in batches) / total.size
    return (total / count).reshape(shape)


def _add_to_shift(wrapper, change):
    norm = wrapper.batch_norm
    if norm is None:
        variable = wrapper.layer.bias
        # The queries of an attention are multiplied by a constant after their bias.
        change = change / getattr(wrapper.layer, "factor", 1.0)
    elif norm.center:
        variable = norm.beta
    else:
        variable = norm.moving_mean
        deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        change = -change * deviation / (np.asarray(norm.gamma) if norm.scale else 1.0)
    variable.assign(np.asarray(variable) + change)
