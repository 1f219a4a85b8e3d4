"""Check that an integer LSTM operator has the grids that its kernels assume."""

import math
from collections.abc import Iterator

import numpy as np

from keras_compress.converters.checks.base import Check, EmittedFile, where
from keras_compress.support.findings import Finding
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator, Tensor
from keras_compress.tflite.operators import OperandRole

_OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_RELATIVE = 4 * np.finfo(np.float32).eps


class LstmGrids(Check):
    """An integer UNIDIRECTIONAL_SEQUENCE_LSTM has the grids of TFLite's specification.

    - Weights are int8 with one scale and zero point 0, and never -128.
    - A bias is int32 with scale = input scale x weight scale and zero point 0.
    - The cell state is int16 with zero point 0, and its scale is a power of two.
    - Outputs, the state that hands them to the next step, and the result inside the operator have
      one grid.

    Source: TFLite's 8-bit quantization specification; `unidirectional_sequence_lstm.cc`.
    """

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return one finding for each rule that an operator breaks."""
        return [
            Finding(
                code="lstm_grid",
                operator=operator.name,
                layer=layers.first(operator),
                message=f"{where(operator, layers.first(operator))} {problem}.",
                fix="Convert with rewrites=False, and build the layer with unroll=True.",
            )
            for operator, layers in emitted.operators()
            if operator.name == _OPERATOR and not operator.outputs[0].dtype.is_float
            for problem in _problems(operator)
        ]


def _problems(operator: Operator) -> Iterator[str]:
    inputs = operators.operands(operator, OperandRole.INPUT_WEIGHTS)
    recurrent = operators.operands(operator, OperandRole.RECURRENT_WEIGHTS)
    if not all(_is_symmetric(tensor, "int8") for tensor in (*inputs, *recurrent) if tensor):
        yield "has weights that are not int8 with one scale and zero point 0"
    if any(tensor.data.min(initial=0) == -128 for tensor in (*inputs, *recurrent) if tensor):
        yield "has weights of -128; symmetric int8 begins at -127"
    data = operators.required(operator, OperandRole.DATA)
    biases = operators.operands(operator, OperandRole.BIAS)
    pairs = [pair for pair in zip(biases, inputs, strict=True) if all(pair)]
    if not all(_fits(bias, data, weights) for bias, weights in pairs):
        yield "has a bias that is not int32 of scale input scale x weight scale"
    state, cell = operators.operands(operator, OperandRole.STATE)
    if cell is None or not _is_symmetric(cell, "int16") or math.frexp(cell.scales[0])[0] != 0.5:
        yield "has a cell state that is not int16 with a scale that is a power of two"
    if not _have_one_grid((operator.outputs[0], state, *operator.intermediates[-1:])):
        yield "has outputs and a state on different grids"


def _is_symmetric(tensor: Tensor, dtype: str) -> bool:
    return tensor.dtype == dtype and tensor.scales.size == 1 and not tensor.zero_points.any()


def _fits(bias, data, weights) -> bool:
    product = np.float64(data.scales) * weights.scales
    return _is_symmetric(bias, "int32") and (
        not bias.data.any() or np.allclose(bias.scales, product, rtol=_RELATIVE, atol=0)
    )


def _have_one_grid(tensors) -> bool:
    if any(tensor is None or tensor.scales.size != 1 for tensor in tensors):
        return False
    return len({(float(t.scales[0]), int(t.zero_points[0])) for t in tensors}) == 1
