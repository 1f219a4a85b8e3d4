"""What TensorFlow's converter leaves undone in the LSTM operators of its file.

- It names none of their tensors after the layer.
- It observes the cell state after the last step only, and clips it at 10. Here the grid holds the
  largest cell state of all steps, and the limit is the end of the grid: CMSIS-NN needs a limit.
- To the kernels, the outputs and the state that hands them to the next step have one grid. Where
  outputs are concatenated with another tensor, the converter gives them the grid of that, and the
  state the range that it has after the last step: the results are then wrong. The range of all
  steps is the one that the converter observed inside the operator.
- Where the weights of a gate are zero, or tiny, its bias does not fit into 32 bits.
"""

import copy
from collections.abc import Mapping

import keras
import numpy as np

from keras_compress.converters.rewrites.base import Rewritten
from keras_compress.converters.rewrites.fused_lstm import OPERATOR
from keras_compress.converters.sequence_lstm import SequenceLstm
from keras_compress.errors import ConversionError
from keras_compress.graph.graph import Call, Graph, trace
from keras_compress.graph.replay import replay
from keras_compress.lowering.recurrent_layers import GATE_NAMES
from keras_compress.quantization.lstm_rounding import CELL_LEVELS, cell_limit
from keras_compress.tflite import operators
from keras_compress.tflite._reader import schema
from keras_compress.tflite.editor import operator_code, pack, unpack
from keras_compress.tflite.operators import OperandRole

# Of an int32, half is left to what is added to the bias.
_LARGEST_BIAS = 2**30
_BATCH = 64


def finish(content: bytes, model: keras.Model, scopes: Mapping[str, str], calibration) -> bytes:
    """Name the tensors of LSTM operators after their layers, and correct their grids.

    Args:
        content: Bytes of an int8 file of the model.
        model: The model that was exported.
        scopes: Name scope -> path of a layer, as recorded at export.
        calibration: The `RepresentativeDataset` that the file was calibrated with, or `None`.

    Returns:
        Bytes of the finished file; the same bytes if the model has no such operators.

    Raises:
        ConversionError: The file does not hold an operator for each of these layers.
    """
    graph = trace(model)
    calls = lstms(graph)
    if not calls:
        return content
    largest = _largest_cells(graph, calls, calibration)
    scope_of = {path: scope for scope, path in reversed(list(scopes.items()))}
    file = _File(content)
    for layer, (call, *_) in calls.items():
        path = "/".join((*call.scope, call.name))
        sites = file.sites(layer)
        if not sites:
            raise ConversionError(
                f"TensorFlow's converter did not make one operator of layer {path!r}: convert with "
                "rewrites=False, and build the layer with unroll=True (the weights stay the same)."
            )
        for site in sites:
            file.name(site, f"{scope_of[path]}/{layer.name}")
            file.join_grids(site)
            file.widen_cell(site, largest[layer])
            file.fit_biases(site, layer.gates())
    return file.pack()


def lstms(graph: Graph) -> dict[SequenceLstm, list[Call]]:
    """Return each `SequenceLstm` of a rewritten model with the calls that it is part of.

    Args:
        graph: The traced `Graph` of the model.
    """
    calls: dict[SequenceLstm, list[Call]] = {}
    for call in graph.calls:
        if isinstance(call.operation, Rewritten):
            for part in call.operation.parts:
                if isinstance(part, SequenceLstm):
                    calls.setdefault(part, []).append(call)
    return calls


def _largest_cells(graph, calls, calibration):
    """Return the largest magnitude in each layer's cell states over the calibration samples."""
    if calibration is None:
        names = ", ".join(repr(layer.name) for layer in calls)
        raise ConversionError(
            f"The ranges inside LSTM {names} are measured in samples: pass "
            "representative_dataset, about a hundred samples like those of training. "
            "Received: representative_dataset=None"
        )
    arrays = [calibration.arrays[input_layer.name] for input_layer in graph.input_layers]
    largest = dict.fromkeys(calls, 0.0)
    for start in range(0, len(calibration), _BATCH):
        values = replay(graph, [array[start : start + _BATCH] for array in arrays])
        for layer, own in calls.items():
            cells = (layer.largest_cell(values[value]) for call in own for value in call.inputs)
            largest[layer] = max(largest[layer], *cells)
    return largest


class _File:
    """A file whose LSTM operators are changed."""

    def __init__(self, content):
        self._model = unpack(content)
        (self._graph,) = self._model.subgraphs
        code = getattr(schema().BuiltinOperator, OPERATOR)
        self._operators = [
            operator
            for operator in self._graph.operators
            if self._model.operatorCodes[operator.opcodeIndex].builtinCode == code
        ]
        self._row = operators.row(OPERATOR)

    def pack(self):
        """Return the file's bytes."""
        return pack(self._model)

    def sites(self, layer):
        """Return the operators that hold the weights of a layer."""
        gates = layer.gates()
        return [
            operator
            for operator in self._operators
            if self._holds(operator, OperandRole.INPUT_WEIGHTS, gates.inputs)
            and self._holds(operator, OperandRole.RECURRENT_WEIGHTS, gates.recurrent)
        ]

    def name(self, operator, name):
        """Name the outputs, weights and biases of an operator."""
        self._graph.tensors[operator.outputs[0]].name = f"{name}/outputs"
        for role in (OperandRole.INPUT_WEIGHTS, OperandRole.RECURRENT_WEIGHTS, OperandRole.BIAS):
            for tensor, gate in zip(self._tensors(operator, role), GATE_NAMES, strict=True):
                tensor.name = f"{name}/{gate}_gate/{role}"

    def join_grids(self, operator):
        """Give outputs and state the grid of the results inside, and readers a QUANTIZE."""
        state, _ = self._tensors(operator, OperandRole.STATE)
        own = self._graph.tensors[operator.intermediates[-1]].quantization
        state.quantization = copy.deepcopy(own)
        index = operator.outputs[0]
        others = self._graph.tensors[index].quantization
        if (own.scale[0], own.zeroPoint[0]) != (others.scale[0], others.zeroPoint[0]):
            self._graph.tensors.append(copy.deepcopy(self._graph.tensors[index]))
            self._graph.tensors[-1].quantization = copy.deepcopy(own)
            operator.outputs = np.array([len(self._graph.tensors) - 1], np.int32)
            self._insert_quantize(operator, operator.outputs[0], index)

    def _insert_quantize(self, before, source, result):
        quantize = schema().OperatorT()
        quantize.opcodeIndex = operator_code(self._model, "QUANTIZE")
        quantize.inputs, quantize.outputs = (np.array([i], np.int32) for i in (source, result))
        quantize.builtinOptionsType = schema().BuiltinOptions.QuantizeOptions
        quantize.builtinOptions = schema().QuantizeOptionsT()
        self._graph.operators.insert(self._graph.operators.index(before) + 1, quantize)

    def widen_cell(self, operator, largest):
        """Let the cell state hold a value, and limit it to the end of its grid."""
        _, cell = self._tensors(operator, OperandRole.STATE)
        limit = cell_limit(largest)
        cell.quantization.scale = np.array([limit / CELL_LEVELS], np.float32)
        operator.builtinOptions.cellClip = limit

    def fit_biases(self, operator, gates):
        """Let the weights of a gate have a scale with which its bias fits into 32 bits."""
        data = self._graph.tensors[operator.inputs[self._row.position(OperandRole.DATA)]]
        step = np.float32(data.quantization.scale[0])
        weights = self._tensors(operator, OperandRole.INPUT_WEIGHTS)
        biases = self._tensors(operator, OperandRole.BIAS)
        for tensor, bias, of_weights, of_bias in zip(
            weights, biases, gates.inputs, gates.biases, strict=True
        ):
            least = np.abs(of_bias).max() / (step * _LARGEST_BIAS)
            if tensor.quantization.scale[0] < least:
                scale = np.float32(least)
                self._write(tensor, of_weights, scale, np.int8)
                self._write(bias, of_bias, step * scale, np.int32)

    def _write(self, tensor, values, scale, dtype):
        """Give a tensor a buffer of its own: others may share the one it has."""
        tensor.quantization.scale = np.array([scale], np.float32)
        buffer = schema().BufferT()
        buffer.data = np.round(values / np.float64(scale)).astype(dtype).ravel().view(np.uint8)
        self._model.buffers.append(buffer)
        tensor.buffer = len(self._model.buffers) - 1

    def _tensors(self, operator, role):
        positions = [i for i, operand in enumerate(self._row.inputs) if operand.role == role]
        return [self._graph.tensors[operator.inputs[position]] for position in positions]

    def _holds(self, operator, role, arrays):
        """Return whether the weights of an operator are these, rounded to their grids."""
        return all(
            self._is(tensor, array)
            for tensor, array in zip(self._tensors(operator, role), arrays, strict=True)
        )

    def _is(self, tensor, array):
        if tuple(tensor.shape) != array.shape or tensor.quantization is None:
            return False
        stored = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
        scale = np.float32(tensor.quantization.scale[0])
        return np.abs(stored.reshape(array.shape) * scale - array).max() <= scale
