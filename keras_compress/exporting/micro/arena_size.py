"""How large a tensor arena a firmware should set aside."""

import dataclasses
import math

import numpy as np

from keras_compress.evaluation.runtimes.tflite_micro import TFLiteMicro
from keras_compress.tflite import arena, operators
from keras_compress.tflite.flatbuffer import Model

_ALIGNMENT = 16
# A share for what the interpreter takes while it plans, and for kernels of other versions.
_MARGIN = 0.1
# The im2col columns of CMSIS-NN: two of int16.
_SCRATCH_PER_FILTER_WEIGHT = 4


@dataclasses.dataclass(frozen=True)
class ArenaSize:
    """The arena that a file needs, and what a firmware should set aside for it.

    Args:
        head_bytes: Feature maps and scratch memory of the reference kernels.
        tail_bytes: Structures that live as long as the interpreter; measured on a 64-bit host it
            is an upper bound for a 32-bit device, whose pointers are half as long.
        margin_bytes: A tenth of both, or the scratch memory that kernels written for a processor
            want for the largest filter, whichever is more.
        measured: Whether TFLite Micro said so, or it was estimated from the file.
    """

    head_bytes: int
    tail_bytes: int
    margin_bytes: int
    measured: bool

    @property
    def total_bytes(self) -> int:
        """Bytes to set aside, a multiple of 16."""
        return _aligned(self.head_bytes + self.tail_bytes + self.margin_bytes)


def arena_size(model: Model) -> ArenaSize:
    """Measure the arena in TFLite Micro; where that is not installed, estimate it.

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
    """Whether an accelerator executes a part of it, which no interpreter on a PC does."""
    return any(op.name == "ethos-u" for op in model.operators)


def _measure(model):
    with TFLiteMicro(model) as opened:
        opened.invoke([np.zeros(tensor.shape, tensor.dtype) for tensor in opened.inputs])
        measured = opened.arena()
    return measured["head_bytes"], measured["tail_bytes"]


def _estimate(model):
    found = arena.estimate(model)
    return found.head, found.tail


def _scratch(model):
    """Bytes that CMSIS-NN wants for the largest filter."""
    convolutions = (op for op in model.operators if operators.row(op.name).is_convolution_2d)
    filters = (operators.weights(op) for op in convolutions)
    # An output channel's share of the weights; depthwise kernels keep channels last.
    sizes = [math.prod(f.shape[1:]) for f in filters if f is not None]
    return _SCRATCH_PER_FILTER_WEIGHT * max(sizes, default=0)


def _aligned(size):
    return math.ceil(size / _ALIGNMENT) * _ALIGNMENT
