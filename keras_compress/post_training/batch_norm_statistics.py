"""Measure the statistics of BatchNormalization again after compression."""

import keras
import numpy as np

from keras_compress.data.types import Samples
from keras_compress.graph.graph import trace
from keras_compress.post_training.layerwise_outputs import (
    LayerwiseOutputs,
    collect,
    require_calibrated,
)
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phased_normalization import PhasedNormalization


def reestimate_batch_norm(
    model: keras.Model, data: Samples, *, samples: int = 512, batch_size: int = 64
) -> keras.Model:
    """Set the moving statistics of a model to those of its current activations.

        moving_mean <- E[Q(W) x'],  moving_variance <- Var[Q(W) x']

    Rounding, pruning and the removal of channels change the mean and variance of a normalization's
    inputs, so the statistics from training no longer fit. After a short training they are outdated
    too: after n steps, a share `momentum**n` of them still comes from the old model. The statistics
    are measured layer by layer. The inputs x' have passed through the layers that are already
    done, and Q(W) are the kernels as they are used: masked, clustered, rounded. Unlike
    `kc.correct_biases`, this also corrects the variance of a channel, but it needs layers with a
    normalization.

    Layers whose channels share one scale (`per_channel=False`) are not changed: their scale
    depends on the folded weights, which new statistics would change.

    Source: Sun et al. 2019, "Hybrid 8-bit floating point training and inference for deep neural
    networks", section 4.2 (re-tuning of statistics); Nagel et al. 2021, "A white paper on neural
    network quantization", section 5.2; Li et al. 2020, "EagleEye: fast sub-net evaluation for
    efficient neural network pruning", section 3.3 (adaptive batch normalization).

    Args:
        model: A built Sequential or functional `keras.Model`: pruned, clustered, shrunk or plain,
            or quantized after `kc.calibrate` or `fit`. It is changed in place.
        data: Samples as for `kc.calibrate`, but augmented as in training, because images that
            are not augmented have different statistics. Labels are not needed.
        samples: Maximum number of samples. Default 512.
        batch_size: Samples in a batch, for data that are not batched already. Default 64.

    Returns:
        The same model.

    Raises:
        InvalidArgumentError: The model is quantized but not calibrated, or there are no data.
        UnsupportedModelError: The graph of the model cannot be traced.

    Example:
        >>> layers = [keras.layers.Dense(4), keras.layers.BatchNormalization()]
        >>> model = keras.Sequential([keras.Input((8,)), *layers])
        >>> model = kc.compress(model, quantization=kc.Quantization())
        >>> x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
        >>> model = kc.reestimate_batch_norm(kc.calibrate(model, x), x)
    """
    graph = trace(model)
    if any(isinstance(call.operation, ActivationQuantizer) for call in graph.calls):
        require_calibrated(model, "reestimate_batch_norm")
    outputs = LayerwiseOutputs(graph, collect(model, data, samples, batch_size))
    for call in graph.calls:
        operation = call.operation
        if isinstance(operation, CompressedLayer) and _has_free_norm(operation):
            batches = outputs.values[call.inputs[0]]
            norm_inputs = [_before_norm(operation, batch) for batch in batches]
            _set_statistics(operation.batch_norm, norm_inputs)
        elif isinstance(operation, PhasedNormalization):
            _set_statistics(operation.layer, outputs.values[call.inputs[0]])
        elif isinstance(operation, keras.layers.BatchNormalization):
            _set_statistics(operation, outputs.values[call.inputs[0]])
        outputs.advance(call)
    return model


def _has_free_norm(wrapper):
    if wrapper.batch_norm is None:
        return False
    return all(wrapper.folding_factor(kernel) is None for kernel in wrapper.kernels)


def _before_norm(wrapper, inputs):
    rounded = [(wrapper.variable(k), wrapper.effective_kernel(k)) for k in wrapper.kernels]
    with keras.StatelessScope(state_mapping=rounded):
        return np.asarray(wrapper.layer(inputs))


def _set_statistics(norm, batches):
    axis = norm.axis % batches[0].ndim
    rest = tuple(other for other in range(batches[0].ndim) if other != axis)
    count = sum(batch.size for batch in batches) / batches[0].shape[axis]
    mean = sum(batch.sum(axis=rest, dtype="float64") for batch in batches) / count
    square = sum(np.square(batch, dtype="float64").sum(axis=rest) for batch in batches) / count
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(np.maximum(square - mean**2, 0.0))
