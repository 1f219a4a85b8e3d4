"""Take the mean error of quantized layers back out of their biases."""

import numpy as np

from keras_compress.post_training.streams import collect, require_calibrated, walk


def correct_biases(model, data, *, samples=512, batch_size=64, progress=None):
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
        samples: How many samples are used at most. Default 512.
        batch_size: Samples in a batch that is cut from arrays. Default 64.
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
    walk(model, collect(model, data, samples, batch_size), _correct, progress)
    return model


def _correct(site):
    wrapper = site.wrapper
    if not _has_shift(wrapper):
        return
    wanted = _channel_mean(site.float_outputs(fused=False))
    with site.unfused():
        found = _channel_mean([np.asarray(wrapper(batch)) for batch in site.inputs])
    _add_to_shift(wrapper, wanted - found)


def _has_shift(wrapper):
    return wrapper.batch_norm is not None or getattr(wrapper.layer, "bias", None) is not None


def _channel_mean(batches):
    total = sum(
        batch.reshape(-1, batch.shape[-1]).sum(axis=0, dtype="float64") for batch in batches
    )
    return total / sum(batch.size // batch.shape[-1] for batch in batches)


def _add_to_shift(wrapper, change):
    norm = wrapper.batch_norm
    if norm is None:
        variable = wrapper.layer.bias
    elif norm.center:
        variable = norm.beta
    else:
        variable = norm.moving_mean
        deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        change = -change * deviation / (np.asarray(norm.gamma) if norm.scale else 1.0)
    variable.assign(np.asarray(variable) + change.reshape(variable.shape))
