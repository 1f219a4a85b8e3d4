"""Activations that are quantized at run time, on a grid computed from their extremes."""

from collections.abc import Sequence

from keras import ops

from keras_compress.support.types import Tensor

# Both converters leave smaller kernels in float, because quantizing them gains nothing.
FEWEST_WEIGHTS = 1024
_LEVELS = 255.0
_TINY = 1e-12


def rounded_at_run_time(inputs: Tensor, axes: Sequence[int]) -> Tensor:
    """Round activations as LiteRT does before it multiplies them by integer weights.

        scale = (max(x, 0) - min(x, 0)) / 255,  zero_point = round(-128 - min(x, 0) / scale)
        y = (clip(round(x / scale) + zero_point, -128, 127) - zero_point) * scale

    Source: TensorFlow Lite's dynamic range quantization, as LiteRT 2.3 computes it.

    Args:
        inputs: Float tensor (batch, ...).
        axes: Axes along which values share a grid (`LayerType.run_time_axes`).

    Returns:
        Tensor of the same shape and dtype. Gradients pass straight through to the inputs.

    Example:
        >>> x = np.array([[0.0, 0.5, 127.5], [0.0, 0.5, 1275.0]], "float32")
        >>> rounded_at_run_time(x, axes=(1,)).numpy().tolist()
        [[0.0, 0.5, 127.5], [0.0, 0.0, 1275.0]]
    """
    values = ops.cast(ops.stop_gradient(inputs), "float32")
    low = ops.minimum(ops.min(values, axis=axes, keepdims=True), 0.0)
    high = ops.maximum(ops.max(values, axis=axes, keepdims=True), 0.0)
    scale = ops.maximum((high - low) / _LEVELS, _TINY)
    zero_point = ops.round(-128.0 - low / scale)
    integers = ops.clip(ops.round(values / scale) + zero_point, -128.0, 127.0)
    rounded = ops.cast((integers - zero_point) * scale, inputs.dtype)
    return inputs + ops.stop_gradient(rounded - inputs)
