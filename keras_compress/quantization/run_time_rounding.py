"""Activations that are quantized at run time, each sample on the grid of its own extremes."""

import keras
from keras import ops

# Both converters leave smaller kernels in float, where there is nothing to win.
FEWEST_WEIGHTS = 1024
_LEVELS = 255.0
_TINY = 1e-12


def takes_rows(layer, packed):
    """Tell whether LiteRT looks for extremes in each row (all channels of one place) alone.

    Measured with LiteRT 2.3: products of rows do (FULLY_CONNECTED, and CONV_2D of one place and
    stride over 8-bit weights, which XNNPACK computes); all other kernels take whole samples.

    Args:
        layer: A built Keras layer.
        packed: Whether its weights are stored two to a byte.
    """
    if isinstance(layer, keras.layers.Dense):
        return True
    pointwise = isinstance(layer, keras.layers.Conv1D | keras.layers.Conv2D) and not packed
    return pointwise and {*layer.kernel.shape[:-2], *layer.strides} == {1} and layer.groups == 1


def rounded_at_run_time(inputs, per_row):
    """Round activations as LiteRT does before it multiplies them with integer weights.

        scale = (max(x, 0) - min(x, 0)) / 255,  zero_point = round(-128 - min(x, 0) / scale)
        y = (clip(round(x / scale) + zero_point, -128, 127) - zero_point) * scale

    Source: TensorFlow Lite's dynamic range quantization, as LiteRT 2.3 computes it.

    Args:
        inputs: Float tensor (batch, ...).
        per_row: Whether each row along the last axis has its own grid; else each sample.

    Returns:
        Tensor of the same shape and dtype, with the gradient of the inputs.

    Example:
        >>> x = np.array([[0.0, 0.5, 127.5], [0.0, 0.5, 1275.0]], "float32")
        >>> rounded_at_run_time(x, per_row=True).numpy().tolist()
        [[0.0, 0.5, 127.5], [0.0, 0.0, 1275.0]]
    """
    axes = -1 if per_row else tuple(range(1, len(inputs.shape)))
    values = ops.cast(ops.stop_gradient(inputs), "float32")
    low = ops.minimum(ops.min(values, axis=axes, keepdims=True), 0.0)
    high = ops.maximum(ops.max(values, axis=axes, keepdims=True), 0.0)
    scale = ops.maximum((high - low) / _LEVELS, _TINY)
    zero_point = ops.round(-128.0 - low / scale)
    integers = ops.clip(ops.round(values / scale) + zero_point, -128.0, 127.0)
    rounded = ops.cast((integers - zero_point) * scale, inputs.dtype)
    return inputs + ops.stop_gradient(rounded - inputs)
