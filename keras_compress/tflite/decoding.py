"""Read the weights of a file whose weights are compressed for TFLite Micro."""

import dataclasses

import numpy as np

from keras_compress.errors import FlatbufferError
from keras_compress.support import plugins
from keras_compress.tflite import operators
from keras_compress.tflite.encodings.base import Encoded
from keras_compress.tflite.model import DECODE
from keras_compress.tflite.operators import OperandRole

ENCODINGS = "keras_compress.tflite.encodings"


def decode_weights(tensor, graph):
    """Return a tensor with the values that DECODE would compute for it.

    Args:
        tensor: A `flatbuffer.Tensor`, or `None`.
        graph: Its `flatbuffer.Subgraph`.

    Returns:
        A `flatbuffer.Tensor` that holds its values; `tensor` itself where no DECODE makes it.

    Raises:
        FlatbufferError: The encoding is unknown, or the data do not match the tensor.
    """
    operator = None if tensor is None else graph.producers.get(tensor.index)
    if operator is None or operator.name != DECODE:
        return tensor
    position = [output.index for output in operator.outputs].index(tensor.index)
    data = operators.operands(operator, OperandRole.ENCODED)[position]
    ancillary = operators.operands(operator, OperandRole.ANCILLARY)[position]
    if data is None or ancillary is None:
        raise FlatbufferError(
            f"A {DECODE} must have two inputs for each output. "
            f"Received: operator {operator.index} without those of output {position}"
        )
    encoded = Encoded(data.stored.tobytes(), ancillary.stored.tobytes())
    values = np.empty(tensor.shape, tensor.dtype.numpy)
    zero_points = tensor.zero_points if tensor.zero_points.size else np.zeros(1, np.int64)
    try:
        _encoding(encoded).decode(encoded, values, zero_points, tensor.axis)
    except (ValueError, IndexError) as error:
        raise FlatbufferError(
            f"The encoded weights of tensor {tensor.index} do not fit its shape. "
            f"Received: {len(encoded):,} bytes for {list(tensor.shape)} ({error})."
        ) from error
    stored = values.reshape(-1).view(np.uint8)
    return dataclasses.replace(tensor, stored=stored, buffer=data.buffer)


def _encoding(encoded):
    by_code = {
        cls.code: cls for cls in (plugins.get(ENCODINGS, n) for n in plugins.names(ENCODINGS))
    }
    if encoded.ancillary[0] not in by_code:
        raise FlatbufferError(
            f"Encodings {sorted(by_code)} of weights are known. Received: {encoded.ancillary[0]}"
        )
    return by_code[encoded.ancillary[0]]()
