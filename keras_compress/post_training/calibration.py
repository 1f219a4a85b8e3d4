"""Post-training quantization: find activation ranges from data, without `fit`."""

import math

import keras

from keras_compress.data.model_inputs import as_inputs, input_specs
from keras_compress.data.reading import read
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import all_layers
from keras_compress.post_training.observers import HistogramObserver, RunningObserver
from keras_compress.quantization.calibrators.base import Calibrator, RunningCalibrator
from keras_compress.support import plugins
from keras_compress.wrappers.activation_quantizer import CALIBRATORS, ActivationQuantizer
from keras_compress.wrappers.phase import Phase, PhasedLayer

# Tracing the model takes longer than so many batches do without.
_BATCHES_BEFORE_TRACING = 4


def calibrate(
    model: keras.Model,
    data: Samples,
    *,
    batch_size: int = 64,
    method: str | Calibrator | None = None,
    per_batch: bool = False,
) -> keras.Model:
    """Set the activation ranges of a compressed model from data.

    It makes one pass over the data. For each tensor it keeps only the extremes or one histogram,
    however many samples there are. During the pass weights are rounded as in the file;
    activations are not.

    Args:
        model: A model that `kc.compress` returned, with quantization.
        data: Samples like those that the model will see in use, in any form of docs/data.md: an
            array (n_samples, *shape), a list or dict of arrays (several inputs), a generator
            function, a `tf.data.Dataset`, a path. Labels are not needed.
        batch_size: Samples in a batch, for data that are not batched already. Default 64.
        method: Name or instance of a calibrator: `"min_max"`, `"moving_average"`,
            `"percentile"`, `"entropy"`, `"mse"`, `"octav"`. Default: the calibrator that the
            model was compressed with.
        per_batch: Whether to use the mean of the ranges of the batches instead of the range of
            all data.

    Returns:
        The same model, with its ranges set.

    Raises:
        InvalidArgumentError: The model has no quantizers, there are no data, or values are not
            finite.
        UnknownNameError: No calibrator has that name.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> model = kc.compress(model, quantization=kc.Quantization())
        >>> model = kc.calibrate(model, np.ones((16, 8), "float32"), method="min_max")
    """
    quantizers = _quantizers(model)
    override = None if method is None else plugins.resolve(CALIBRATORS, method, Calibrator)
    return _calibrate(model, quantizers, data, batch_size, override, per_batch)


def unobserved(model: keras.Model) -> list[ActivationQuantizer]:
    """Return the quantizers whose ranges training has not learned for the weights of today.

    Args:
        model: A model, compressed or plain.

    Returns:
        Those that saw no data, and those in front of which quantization has not begun.
    """
    layers = all_layers(model)
    quantizers = [layer for layer in layers if isinstance(layer, ActivationQuantizer)]
    return [q for q in quantizers if not q.observed or _waits(q)]


def calibrate_unobserved(model: keras.Model, data: Samples, batch_size: int = 64) -> keras.Model:
    """Set the activation ranges that training has not learned, and leave the others.

    Args:
        model: A compressed model, with quantization.
        data: As for `calibrate`.
        batch_size: As for `calibrate`.

    Returns:
        The same model, its quantization begun and all of its ranges set.

    Raises:
        InvalidArgumentError: As for `calibrate`.
    """
    return _calibrate(model, unobserved(model), data, batch_size, None, per_batch=False)


def _waits(quantizer):
    return quantizer.fixed_range is None and quantizer.phase == Phase.OFF


def _calibrate(model, quantizers, data, batch_size, override, per_batch):
    source = read(data, input_specs(model)).inputs_only()
    source.require_end()
    for quantizer in quantizers:
        calibrator = override or quantizer.calibrator
        quantizer.observer = _observer(calibrator, batch_size)
    _begin(model)
    try:
        ranges = _observe(model, quantizers, source.batches(batch_size), per_batch)
    finally:
        for quantizer in quantizers:
            quantizer.observer = None
        _forget_kernels()
    for quantizer, (minimum, maximum) in zip(quantizers, ranges, strict=True):
        _check_finite(quantizer, minimum, maximum)
        quantizer.set_range(minimum, maximum)
    return model


def _quantizers(model):
    layers = all_layers(model) if isinstance(model, keras.Model) else []
    quantizers = [layer for layer in layers if isinstance(layer, ActivationQuantizer)]
    if not any(isinstance(layer, PhasedLayer) for layer in layers):
        raise InvalidArgumentError(
            "calibrate needs a model with activation ranges. Call first: "
            'model = kc.compress(model, quantization=kc.Quantization(profile="generic_int8")). '
            f"Received: {getattr(model, 'name', model)}, which has none"
        )
    return [layer for layer in quantizers if layer.fixed_range is None]


def _observer(calibrator, batch_size):
    if isinstance(calibrator, RunningCalibrator):
        return RunningObserver(calibrator)
    return HistogramObserver(calibrator, batch_size)


def _begin(model):
    """Enter the phase in which kernels are rounded, unless the model is already in it."""
    for layer in all_layers(model):
        phased = isinstance(layer, PhasedLayer) and layer.quantizes
        if phased and layer.phase == Phase.OFF:
            layer.set_phase(Phase.LEARNING)


def _observe(model, quantizers, batches, per_batch):
    import tensorflow as tf

    signature = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), model.input
    )

    def run(batch):
        model(batch, training=False)

    traced = tf.function(run, input_signature=[signature])
    sums = [(0.0, 0.0)] * len(quantizers)
    count = 0
    for x, _ in batches:
        step = run if count < _BATCHES_BEFORE_TRACING else traced
        step(as_inputs(model, x))
        count += 1
        if per_batch:
            sums = [
                (low + total_low, high + total_high)
                for (total_low, total_high), (low, high) in zip(
                    sums, map(_take, quantizers), strict=True
                )
            ]
    if not count:
        raise InvalidArgumentError("calibrate needs at least one sample. Received: no data")
    if per_batch:
        return [(low / count, high / count) for low, high in sums]
    return [quantizer.observer.range(quantizer.bits) for quantizer in quantizers]


def _forget_kernels():
    """Drop the kernels of traced functions, which TensorFlow keeps for the process's lifetime."""
    # TensorFlow 2.21 has no public name for this.
    from tensorflow.python.eager import context

    context.context().clear_kernel_cache()


def _take(quantizer):
    limits = quantizer.observer.range(quantizer.bits)
    quantizer.observer.reset()
    return limits


def _check_finite(quantizer, minimum, maximum):
    if not (math.isfinite(minimum) and math.isfinite(maximum)):
        raise InvalidArgumentError(
            f"The values at {quantizer.name} are not finite. Check the data for NaN or infinite "
            f"samples, and the layers for overflow. Received: range [{minimum}, {maximum}]"
        )
