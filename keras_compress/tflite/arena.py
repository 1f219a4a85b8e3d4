"""Estimates the tensor arena that a file needs from shapes and lifetimes, without running it.

The head holds feature maps and the scratch memory of kernels, placed as TFLite Micro's greedy
planner does: the largest first (of equals the last one first), each at the lowest offset that is
free while it lives. The tail holds what lives as long as the interpreter: structures of tensors
and operators, multipliers of channels.
"""

import dataclasses
import math

import numpy as np

from keras_compress.tflite import operators
from keras_compress.tflite.operators import OperandRole

_ALIGNMENT = 16
_MOST_BYTES = 2**61

# Bytes of TFLite Micro's structures, an upper bound fitted to the released runtime on a 64-bit
# host. A 32-bit device needs less: its pointers are half as long.
_FIXED_BYTES = 1024
_TENSOR_BYTES = 24
_OPERATOR_BYTES = 128
_WEIGHTED_OPERATOR_BYTES = 64
_CHANNEL_BYTES = 8
_INT16_SOFTMAX_TABLES_BYTES = 2052
_LSTM_PARAMETERS_BYTES = 576


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
        An `Arena`. Its head is what the released runtime reports, within some bytes if the file
        has several subgraphs; its tail is an upper bound. Kernels written for a processor may want
        more scratch memory.
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
    last_first = list(buffers)[::-1]
    largest_first = sorted(last_first, key=lambda buffer: -buffer[0])
    total = sum(size for size, *_ in largest_first)
    if total > _MOST_BYTES:
        return total  # no memory holds them in any order
    placed = np.zeros((4, len(largest_first)), np.int64)  # by offset
    for count, (size, first, last) in enumerate(largest_first):
        starts, ends, firsts, lasts = placed[:, :count]
        alive = (firsts <= last) & (first <= lasts)
        offset = _first_gap(starts[alive], ends[alive], size)
        position = np.searchsorted(starts, offset, side="right")
        placed[:, position + 1 : count + 1] = placed[:, position:count]
        placed[:, position] = offset, offset + size, first, last
    return int(placed[1].max(initial=0))


def _first_gap(starts, ends, size):
    """Return the lowest offset with so many free bytes between blocks, which start in order."""
    free_from = np.append(0, np.maximum.accumulate(ends))
    free_until = np.append(starts, _MOST_BYTES * 2)
    return free_from[np.argmax(free_until - free_from >= size)]


def _head(model):
    lifetimes = _Lifetimes(model)
    return plan([*lifetimes.feature_maps(), *lifetimes.scratch()])


class _Lifetimes:
    """The steps in which memory is in use, counted as TFLite Micro does.

    Each operator is a step. One that executes subgraphs (CALL_ONCE, IF, WHILE) is followed by the
    steps of these, each subgraph once, and keeps its inputs until they end.
    """

    def __init__(self, model):
        self._graphs = model.subgraphs
        self._step = 0
        self._first: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int], int] = {}
        self._scratch: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._entered = {0}
        pending = [self._execute(self._graphs[0])]
        while pending:  # no recursion: a file may nest its subgraphs deeply
            called = next(pending[-1], None)
            if called is None:
                pending.pop()
            else:
                pending += [self._execute(graph) for graph in reversed(called)]

    def feature_maps(self):
        """Yield (bytes, first step, last step) of the inputs and the tensors that are computed."""
        for (graph, index), first in sorted(self._first.items()):
            tensor = self._graphs[graph].tensors[index]
            if not tensor.is_variable:
                size = _aligned(tensor.size * tensor.dtype.bits // 8)
                yield size, first, self._last.get((graph, index), first)

    def scratch(self):
        """Yield (bytes, first step, last step) of the scratch memory of reference kernels."""
        for _, requests in sorted(self._scratch.items()):
            yield from requests

    def _execute(self, graph):
        """Count the steps of a graph, and yield the subgraphs that are executed on the way."""
        self._create(graph, graph.inputs)
        self._use(graph, graph.inputs)
        for op in graph.operators:
            self._step += 1
            began = self._step
            self._create(graph, op.outputs)
            yield self._unseen(op)
            self._use(graph, op.inputs)
            sizes = _SCRATCH.get(op.name, lambda op: ())(op)
            requests = [(_aligned(size), began, self._step) for size in sizes]
            self._scratch[graph.index, op.index] = requests
        self._use(graph, graph.outputs)

    def _create(self, graph, tensors):
        for tensor in tensors:
            self._first.setdefault((graph.index, tensor.index), self._step)

    def _use(self, graph, tensors):
        for tensor in tensors:
            if tensor is not None:
                self._last[graph.index, tensor.index] = self._step

    def _unseen(self, op):
        inside = (i for i in op.subgraphs if 0 <= i < len(self._graphs) and i not in self._entered)
        called = list(dict.fromkeys(inside))
        self._entered.update(called)
        return [self._graphs[index] for index in called]


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


def _gates(op):
    """Return the bytes of four gates of an integer LSTM, of 16 bits for each cell."""
    _, cell = operators.operands(op, OperandRole.STATE)
    return [] if cell is None or cell.dtype.is_float else [2 * cell.size] * 4


_SCRATCH = {
    "BATCH_MATMUL": _transposed_operands,
    "MEAN": _sums,
    "REDUCE_MAX": _positions,
    "REDUCE_MIN": _positions,
    "SUM": _sums,
    "TRANSPOSE_CONV": _accumulators,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _gates,
}


def _tail(model):
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    variables = sum(t.size * t.dtype.bits // 8 for t in tensors if t.is_variable)
    structures = _TENSOR_BYTES * len(tensors)
    structures += sum(_operator_bytes(op) for graph in model.subgraphs for op in graph.operators)
    return _aligned(_FIXED_BYTES + structures + variables + _resources(model))


def _resources(model):
    """Return the bytes of the values that READ_VARIABLE and ASSIGN_VARIABLE exchange."""
    sizes: dict[str, int] = {}
    for graph in model.subgraphs:
        names = {
            tensor.index: op.options.get("shared_name", "")
            for op in graph.operators
            if op.name == "VAR_HANDLE"
            for tensor in op.outputs
        }
        for op in graph.operators:
            handle = operators.operand(op, OperandRole.VARIABLE)
            if handle is None:
                continue
            name = names.get(handle.index, "")
            for value in operators.feature_maps(op):
                sizes[name] = max(sizes.get(name, 0), _aligned(value.size * value.dtype.bits // 8))
    return sum(sizes.values())


def _operator_bytes(op):
    if operators.row(op.name).is_convolution_2d:
        channels = op.outputs[0].shape[-1]
        return _OPERATOR_BYTES + _WEIGHTED_OPERATOR_BYTES + _CHANNEL_BYTES * channels
    if op.name == "FULLY_CONNECTED":
        scales = operators.required(op, OperandRole.WEIGHTS).scales.size
        channels = scales if scales > 1 else 0
        return _OPERATOR_BYTES + _WEIGHTED_OPERATOR_BYTES + _CHANNEL_BYTES * channels
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return _OPERATOR_BYTES + _LSTM_PARAMETERS_BYTES
    if op.name == "SOFTMAX" and operators.required(op, OperandRole.DATA).dtype == "int16":
        return _OPERATOR_BYTES + _INT16_SOFTMAX_TABLES_BYTES
    return _OPERATOR_BYTES


def _aligned(size):
    return math.ceil(size / _ALIGNMENT) * _ALIGNMENT
