"""Multiplications of an operator, counted from the shapes in the flatbuffer."""

import math


def count(operator):
    """Count the multiply-accumulate operations of an operator, over the file's own batch.

    MACs of a convolution are output positions * output channels * kernel height * kernel width *
    input channels of a group; of a Dense layer rows * inputs * units; of a matrix product rows *
    inner * columns. Operators without a matrix product have none.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

    Returns:
        The number of MACs.
    """
    counter = _COUNTERS.get(operator.name)
    return counter(operator) if counter else 0


def _convolution(operator):
    """Weights are (out, height, width, in of a group): each output value takes all but `out`."""
    return operator.outputs[0].size * math.prod(operator.inputs[1].shape[1:])


def _depthwise(operator):
    _, height, width, _ = operator.inputs[1].shape
    return operator.outputs[0].size * height * width


def _convolution_3d(operator):
    """Weights are (depth, height, width, in, out)."""
    return operator.outputs[0].size * math.prod(operator.inputs[1].shape[:-1])


def _transposed(operator):
    """Each input value meets the weights (out, height, width, in) of its channel."""
    return operator.inputs[2].size * math.prod(operator.inputs[1].shape[:3])


def _dense(operator):
    units, inputs = operator.inputs[1].shape
    return operator.inputs[0].size // inputs * inputs * units


def _matrix_product(operator):
    left = operator.inputs[0].shape
    inner = left[-2] if operator.options.get("adj_x") else left[-1]
    return operator.outputs[0].size * inner


def _lstm(operator):
    """Four gates of input weights (inputs 1 to 4) and recurrent ones (5 to 8) at each time step."""
    gates = [tensor for tensor in operator.inputs[1:9] if tensor is not None]
    cells = operator.outputs[0].shape[-1]
    return operator.outputs[0].size // cells * sum(tensor.size for tensor in gates)


_COUNTERS = {
    "BATCH_MATMUL": _matrix_product,
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "TRANSPOSE_CONV": _transposed,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
