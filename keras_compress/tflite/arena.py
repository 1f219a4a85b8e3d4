"""Estimates the tensor arena that a file needs from shapes and lifetimes, without running it.

The head holds feature maps and the scratch memory of kernels, placed as TFLite Micro's greedy
planner does: the largest first (of equals the last one first), each at the lowest offset that is
free while it lives. The tail holds what lives as long as the interpreter: structures of tensors
and operators, multipliers of channels.
"""

import dataclasses
import math

from keras_compress.tflite import operators
from keras_compress.tflite.operators import OperandRole

_ALIGNMENT = 16

# Bytes of TFLite Micro's structures, an upper bound fitted to the released runtime on a 64-bit
# host. A 32-bit device needs less: its pointers are half as long.
_FIXED_BYTES = 1024
_TENSOR_BYTES = 24
_OPERATOR_BYTES = 128
_WEIGHTED_OPERATOR_BYTES = 64
_CHANNEL_BYTES = 8
_INT16_SOFTMAX_TABLES_BYTES = 2052


@dataclasses.dataclass(frozen=True)
class Arena:
    """The two parts of a tensor arena, in bytes.

    Args:
        head: Feature maps and scratch memory.
        tail: Structures that live as long as the interpreter.
    """

    head: int
    tail: int

    @property
    def total(self):
        """Bytes of the whole arena."""
        return self.head + self.tail


def estimate(model):
    """Estimate the arena that a model needs with TFLite Micro's reference kernels.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.

    Returns:
        An `Arena`. Its head is what the released runtime reports; its tail is an upper bound.
        Kernels written for a processor may want more scratch memory.
    """
    return Arena(head=_head(model), tail=_tail(model))


def plan(buffers):
    """Place buffers greedily, and return the bytes that they need.

    Args:
        buffers: Iterable of (bytes, first step, last step), both steps included.

    Returns:
        The end of the last buffer.

    Example:
        >>> plan([(64, 0, 1), (32, 1, 2), (64, 2, 3)])
        96
    """
    placed: list[tuple[int, int, int, int]] = []
    last_first = list(buffers)[::-1]
    for size, first, last in sorted(last_first, key=lambda buffer: -buffer[0]):
        alive = sorted(b for b in placed if b[2] <= last and first <= b[3])
        offset = 0
        for start, end, *_ in alive:
            if start - offset >= size:
                break
            offset = max(offset, end)
        placed.append((offset, offset + size, first, last))
    return max((end for _, end, *_ in placed), default=0)


def _head(model):
    return plan([*_feature_maps(model), *_scratch(model)])


def _feature_maps(model):
    """Yield (bytes, first step, last step) of the inputs and the tensors that are computed."""
    graph = model.subgraphs[0]
    end = len(graph.operators)
    born = {tensor.index: 0 for tensor in graph.inputs}
    born |= {tensor.index: op.index for op in graph.operators for tensor in op.outputs}
    died = {i: consumers[-1].index for i, consumers in graph.consumers.items()}
    died |= {tensor.index: end for tensor in graph.outputs}
    for index, first in sorted(born.items()):
        tensor = graph.tensors[index]
        if not tensor.is_variable:
            yield _aligned(tensor.size * tensor.dtype.bits // 8), first, died.get(index, first)


def _scratch(model):
    """Yield (bytes, step, step) of the scratch memory that reference kernels need."""
    for op in model.operators:
        for size in _SCRATCH.get(op.name, lambda op: ())(op):
            yield _aligned(size), op.index, op.index


def _sums(op):
    """Return the bytes of the sums of an integer mean, one of 32 bits for each output."""
    return (
        [] if operators.required(op, OperandRole.DATA).dtype.is_float else [4 * op.outputs[0].size]
    )


def _positions(op):
    """Return the bytes of the position in the input and of the resolved axes."""
    data, axes = (operators.required(op, r) for r in (OperandRole.DATA, OperandRole.AXES))
    return [4 * len(data.shape), 4 * axes.size]


def _accumulators(op):
    """Return the bytes of the sums of an integer transposed convolution, one for each output."""
    wide = {"int8": 4, "int16": 8}.get(str(op.outputs[0].dtype), 0)
    return [wide * op.outputs[0].size]


def _transposed_operands(op):
    """Return the bytes of a transposed copy of each operand that the product needs transposed."""
    left, right = (operators.required(op, r) for r in (OperandRole.DATA, OperandRole.OTHER))
    element_bytes = left.dtype.bits // 8
    copies = [left.size * element_bytes] if op.options.get("adj_x") else []
    return copies if op.options.get("adj_y") else [*copies, right.size * element_bytes]


_SCRATCH = {
    "BATCH_MATMUL": _transposed_operands,
    "MEAN": _sums,
    "REDUCE_MAX": _positions,
    "REDUCE_MIN": _positions,
    "SUM": _sums,
    "TRANSPOSE_CONV": _accumulators,
}


def _tail(model):
    graph = model.subgraphs[0]
    variables = sum(t.size * t.dtype.bits // 8 for t in graph.tensors if t.is_variable)
    structures = _TENSOR_BYTES * len(graph.tensors)
    structures += sum(_operator_bytes(op) for op in graph.operators)
    return _aligned(_FIXED_BYTES + structures + variables)


def _operator_bytes(op):
    if operators.row(op.name).is_convolution_2d:
        channels = op.outputs[0].shape[-1]
        return _OPERATOR_BYTES + _WEIGHTED_OPERATOR_BYTES + _CHANNEL_BYTES * channels
    if op.name == "FULLY_CONNECTED":
        scales = operators.required(op, OperandRole.WEIGHTS).scales.size
        channels = scales if scales > 1 else 0
        return _OPERATOR_BYTES + _WEIGHTED_OPERATOR_BYTES + _CHANNEL_BYTES * channels
    if op.name == "SOFTMAX" and operators.required(op, OperandRole.DATA).dtype == "int16":
        return _OPERATOR_BYTES + _INT16_SOFTMAX_TABLES_BYTES
    return _OPERATOR_BYTES


def _aligned(size):
    return math.ceil(size / _ALIGNMENT) * _ALIGNMENT
