"""The size of the tensor arena that a firmware should reserve."""

import dataclasses
import math

import numpy as np

from keras_compress.evaluation.runtimes.tflite_micro import TFLiteMicro
from keras_compress.tflite import arena, operators
from keras_compress.tflite.flatbuffer import Model

_ALIGNMENT = 16
# A reserve for the interpreter's planning, and for kernels of other versions.
_MARGIN = 0.1
# The im2col columns of CMSIS-NN: two of int16.
_SCRATCH_PER_FILTER_WEIGHT = 4


@dataclasses.dataclass(frozen=True)
class ArenaSize:
    """The arena that a file needs, and how much a firmware should reserve for it.

    Args:
        head_bytes: Feature maps and scratch memory of the reference kernels.
        tail_bytes: Structures that live as long as the interpreter; measured on a 64-bit host, it
            is an upper bound for a 32-bit device, whose pointers are half as long.
        margin_bytes: A tenth of both, or the scratch memory that processor-specific kernels need
            for the largest filter, whichever is larger.
        measured: Whether it was measured in TFLite Micro rather than estimated from the file.
    """

    head_bytes: int
    tail_bytes: int
    margin_bytes: int
    measured: bool

    @property
    def total_bytes(self) -> int:
        """Bytes to reserve, a multiple of 16."""
        return _aligned(self.head_bytes + self.tail_bytes + self.margin_bytes)


def arena_size(model: Model) -> ArenaSize:
    """Measure the arena in TFLite Micro, or estimate it if TFLite Micro is not installed.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.

    Returns:
        An `ArenaSize`.

    Raises:
        EvaluationError: TFLite Micro refuses the file.
    """
    measured = TFLiteMicro.available() and not _is_compiled(model)
    head, tail = _measure(model) if measured else _estimate(model)
    margin = max(math.ceil(_MARGIN * (head + tail)), _scratch(model))
    return ArenaSize(head, tail, margin, measured)


def _is_compiled(model):
    """Return whether an accelerator runs part of the file, which no interpreter on a PC can."""
    return any(op.name == "ethos-u" for op in model.operators)


def _measure(model):
    with TFLiteMicro(model) as opened:
        opened.invoke([np.zeros(tensor.shape, tensor.dtype) for tensor in opened.inputs])
        measured = opened.arena()
    return measured["head_bytes"], measured["tail_bytes"]


def _estimate(model):
    estimate = arena.estimate(model)
    return estimate.head, estimate.tail


def _scratch(model):
    """Return the scratch bytes that CMSIS-NN needs for the largest filter."""
    convolutions = (op for op in model.operators if operators.row(op.name).is_convolution_2d)
    filters = (operators.weights(op) for op in convolutions)
    # The weights of one output channel; depthwise kernels have their channels last.
    sizes = [math.prod(f.shape[1:]) for f in filters if f is not None]
    return _SCRATCH_PER_FILTER_WEIGHT * max(sizes, default=0)


def _aligned(size):
    return math.ceil(size / _ALIGNMENT) * _ALIGNMENT
