"""Write LSTM operators as they were trained: their weights, biases and the grids of all tensors."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_compress.converters.deployment import Deployable
from keras_compress.converters.promises import DeployedKernel
from keras_compress.converters.rewrites.fused_lstm import OPERATOR
from keras_compress.converters.trained_lstm import TrainedLstm
from keras_compress.errors import ConversionError
from keras_compress.graph.graph import Call, trace
from keras_compress.lowering.recurrent_layers import GATE_NAMES
from keras_compress.quantization.fake_quant import weight_limit
from keras_compress.quantization.lstm_rounding import CELL_LEVELS
from keras_compress.tflite import operators
from keras_compress.tflite._reader import schema
from keras_compress.tflite.editor import drop_unused_tensors, operator_code, pack, unpack
from keras_compress.tflite.operators import OperandRole

# Of an int32, half is left to what is added to the bias.
_LARGEST_BIAS = 2**30
# Where all weights of a gate are zero.
_SMALLEST_SCALE = 2.0**-60
# A weight that the converter rounded is at most so many of its steps away.
_ROUNDED = 0.51
# TensorFlow's converter writes these names; the kernels read the tensors by their places.
_PLACE, _RESHAPE = "FULLY_CONNECTED", "RESHAPE"
_INTERMEDIATES = (
    *(f"input_to_{gate}_intermediate" for gate in GATE_NAMES),
    "effective_hidden_scale_intermediate",
)


def write(content: bytes, deployable: Deployable, scopes: Mapping[str, str]) -> bytes:
    """Replace what holds the place of each trained LSTM by its operator.

    Args:
        content: Bytes of an int8 file of the model.
        deployable: The model that was exported, with its `DeployedKernel`s.
        scopes: Name scope -> path of a layer, as recorded at export.

    Returns:
        Bytes of the file; the same bytes if the model has no such layers.

    Raises:
        ConversionError: The file does not hold the place of a layer.
    """
    calls = trained_lstms(deployable.model)
    if not calls:
        return content
    scope_of = {path: scope for scope, path in reversed(list(scopes.items()))}
    file = _File(content)
    for layer, own in calls.items():
        places = file.places(layer)
        if not 0 < len(places) <= len(own):
            raise ConversionError(
                f"The converter did not keep the place of LSTM {layer.name!r}: {len(places)} of "
                f"{len(own)} calls are in the file. Convert kc.strip(model) with "
                "representative_dataset=samples"
            )
        kernels = [k for k in deployable.kernels if k.layer == layer.wrapper_name]
        weights = _Weights(kernels, f"{scope_of[_path(own[0])]}/{layer.name}")
        for place in places:
            file.replace(place, layer, own[0].output.shape[1], weights)
    return file.pack()


def trained_lstms(model: keras.Model) -> dict[TrainedLstm, list[Call]]:
    """Return each `TrainedLstm` of a model with its calls.

    Args:
        model: A deployed model.
    """
    calls: dict[TrainedLstm, list[Call]] = {}
    for call in trace(model).calls:
        if isinstance(call.operation, TrainedLstm):
            calls.setdefault(call.operation, []).append(call)
    return calls


def _path(call):
    return "/".join((*call.scope, call.name))


class _Weights:
    """The weights of a layer's gates on their grids, and the tensors that hold them once written.

    Args:
        kernels: Its `DeployedKernel`s: four for the inputs, four for the recurrent weights.
        name: The start of the names of its tensors.
    """

    def __init__(self, kernels: list[DeployedKernel], name: str):
        count = len(GATE_NAMES)
        self.name = name
        self.kernels = {
            OperandRole.INPUT_WEIGHTS: kernels[:count],
            OperandRole.RECURRENT_WEIGHTS: kernels[count:],
        }
        bias = kernels[0].bias
        units = len(kernels[0].weights)
        self.biases = np.split(np.zeros(count * units) if bias is None else bias, count)
        self.tensors: dict[tuple, int] = {}

    def scale(self, role: OperandRole, gate: int, input_scale: np.float32) -> np.float32:
        """Return the scale of a gate's weights, with which its bias fits into 32 bits."""
        kernel = self.kernels[role][gate]
        scale = kernel.scales
        if scale is None:  # The layer was excluded from quantization.
            scale = np.abs(kernel.weights).max() / weight_limit(8)
        least = _SMALLEST_SCALE
        if role is OperandRole.INPUT_WEIGHTS:
            largest = float(np.abs(self.biases[gate]).max())
            least = max(least, largest / (float(input_scale) * _LARGEST_BIAS))
        return np.float32(max(float(scale), least))

    def integers(self, role: OperandRole, gate: int, scale: np.float32) -> np.ndarray:
        """Return the integers of a gate's weights, (units, features or units)."""
        limit = weight_limit(8)
        values = np.round(self.kernels[role][gate].weights / np.float64(scale))
        return np.clip(values, -limit, limit).astype(np.int8)


class _File:
    """A file in which operators are replaced."""

    def __init__(self, content):
        self._model = unpack(content)
        (self._graph,) = self._model.subgraphs
        self._row = operators.row(OPERATOR)

    def pack(self):
        """Return the file's bytes, without what nothing reads any more."""
        self._graph.operators = [op for op in self._graph.operators if not self._is_unread(op)]
        drop_unused_tensors(self._model)
        self._empty_unused_buffers()
        return pack(self._model)

    def _is_unread(self, operator):
        """Return whether an operator is a reshape that an LSTM no longer reads."""
        read = {int(i) for op in self._graph.operators for i in op.inputs}
        read |= set(map(int, self._graph.outputs))
        return self._is_reshape(operator) and not read & set(map(int, operator.outputs))

    def _empty_unused_buffers(self):
        used = {tensor.buffer for tensor in self._graph.tensors}
        used |= {metadata.buffer for metadata in self._model.metadata or ()}
        for index, buffer in enumerate(self._model.buffers):
            if index not in used:
                buffer.data = None

    def places(self, layer):
        """Return the operators that hold the place of a layer."""
        kernel = keras.ops.convert_to_numpy(layer.kernel).T
        code = getattr(schema().BuiltinOperator, _PLACE)
        return [
            operator
            for operator in self._graph.operators
            if self._model.operatorCodes[operator.opcodeIndex].builtinCode == code
            and self._is(self._graph.tensors[_input(operator, _PLACE, OperandRole.WEIGHTS)], kernel)
        ]

    def _is(self, tensor, array):
        data = self._model.buffers[tensor.buffer].data
        if tuple(tensor.shape) != array.shape or data is None or len(data) != array.size:
            return False
        scales = np.reshape(tensor.quantization.scale, (-1, 1))
        stored = np.asarray(data, np.uint8).view(np.int8).reshape(array.shape) * scales
        return bool((np.abs(stored - array) <= _ROUNDED * scales).all())

    def replace(self, place, layer, steps, weights):
        """Put the operator of a layer where another one holds its place."""
        features = layer.kernel.shape[0]
        source = self._source(place, (steps, features))
        result = self._result(place, (steps, layer.units))
        operator = self._operator(OPERATOR, self._inputs(source, result, layer, weights), result)
        operator.intermediates = self._intermediates(result)
        operator.builtinOptionsType = schema().BuiltinOptions.UnidirectionalSequenceLSTMOptions
        operator.builtinOptions = self._options(layer)
        self._graph.operators[self._index(place)] = operator

    def _source(self, place, shape):
        """Return the tensor that the LSTM reads: the converter moves and merges reshapes."""
        index = _input(place, _PLACE, OperandRole.DATA)
        shape = (self._batch(index, shape), *shape)
        if self._shape(index) == shape:
            return index
        for maker in self._graph.operators:
            if index in maker.outputs and self._is_reshape(maker):
                before = _input(maker, _RESHAPE, OperandRole.DATA)
                if self._shape(before) == shape:
                    return before
        reshaped = self._like(index, shape)
        self._graph.operators.insert(self._index(place), self._reshape(index, reshaped))
        return reshaped

    def _result(self, place, shape):
        """Return the tensor that the LSTM writes."""
        index = int(place.outputs[0])
        shape = (self._batch(index, shape), *shape)
        if self._shape(index) == shape:
            return index
        readers = [op for op in self._graph.operators if index in op.inputs]
        if len(readers) == 1 and self._is_reshape(readers[0]):
            (after,) = map(int, readers[0].outputs)
            if self._shape(after) == shape:
                del self._graph.operators[self._index(readers[0])]
                return after
        reshaped = self._like(index, shape)
        self._graph.operators.insert(self._index(place) + 1, self._reshape(reshaped, index))
        return reshaped

    def _batch(self, index, shape):
        return math.prod(self._shape(index)) // math.prod(shape)

    def _shape(self, index):
        return tuple(map(int, self._graph.tensors[index].shape))

    def _index(self, operator):
        return self._graph.operators.index(operator)

    def _is_reshape(self, operator):
        code = self._model.operatorCodes[operator.opcodeIndex]
        return code.builtinCode == schema().BuiltinOperator.RESHAPE

    def _like(self, index, shape):
        """Add a tensor of another shape that is otherwise like one of the file."""
        tensor = self._graph.tensors[index]
        name = f"{tensor.name.decode()}/reshaped"
        return self._tensor(name, shape, tensor.type, tensor.quantization)

    def _reshape(self, source, result):
        shape = np.array(self._shape(result), np.int32)
        kind, name = schema().TensorType.INT32, self._graph.tensors[result].name.decode()
        sizes = self._tensor(f"{name}/shape", shape.shape, kind, None, buffer=self._buffer(shape))
        operator = self._operator(_RESHAPE, np.array([source, sizes], np.int32), result)
        operator.builtinOptionsType = schema().BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema().ReshapeOptionsT()
        operator.builtinOptions.newShape = shape
        return operator

    def _operator(self, name, inputs, result):
        operator: Any = schema().OperatorT()
        operator.opcodeIndex = operator_code(self._model, name)
        operator.inputs, operator.outputs = inputs, np.array([result], np.int32)
        return operator

    def _options(self, layer):
        options = schema().UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction = schema().ActivationFunctionType.TANH
        options.cellClip = layer.cell_limit  # CMSIS-NN needs a limit.
        options.timeMajor = False
        return options

    def _inputs(self, source, result, layer, weights):
        """Return the indices of the operator's inputs in their order; -1 for those it lacks."""
        own = {
            OperandRole.DATA: [source],
            OperandRole.STATE: self._states(result, layer),
            OperandRole.BIAS: [],
        }
        input_scale = np.float32(self._graph.tensors[source].quantization.scale[0])
        for role in weights.kernels:
            own[role] = [self._weights(weights, role, i, input_scale) for i in range(4)]
        own[OperandRole.BIAS] = [self._bias(weights, i, input_scale) for i in range(4)]
        indices = {role: iter(tensors) for role, tensors in own.items()}
        return np.array(
            [next(indices.get(operand.role, iter(())), -1) for operand in self._row.inputs],
            np.int32,
        )

    def _weights(self, weights, role, gate, input_scale):
        scale = weights.scale(role, gate, input_scale)
        name = f"{GATE_NAMES[gate]}_gate/{role}"
        return self._constant(weights, name, weights.integers(role, gate, scale), scale)

    def _bias(self, weights, gate, input_scale):
        of_weights = weights.scale(OperandRole.INPUT_WEIGHTS, gate, input_scale)
        scale = np.float32(input_scale * of_weights)
        values = np.round(weights.biases[gate] / np.float64(scale)).astype(np.int32)
        return self._constant(weights, f"{GATE_NAMES[gate]}_gate/{OperandRole.BIAS}", values, scale)

    def _constant(self, weights, name, values, scale):
        """Add a tensor, or return one that an operator of the same layer reads already."""
        key = name, float(scale)
        if key not in weights.tensors:
            weights.tensors[key] = self._tensor(
                f"{weights.name}/{name}",
                values.shape,
                schema().TensorType.INT8 if values.dtype == np.int8 else schema().TensorType.INT32,
                _grid(scale),
                buffer=self._buffer(values),
            )
        return weights.tensors[key]

    def _buffer(self, values):
        buffer: Any = schema().BufferT()
        buffer.data = values.ravel().view(np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _states(self, result, layer):
        outputs = self._graph.tensors[result]
        shape, name = (outputs.shape[0], layer.units), f"{layer.name}/state"
        cells = _grid(np.float32(layer.cell_limit / CELL_LEVELS))
        kinds = schema().TensorType
        return [
            self._tensor(f"{name}/outputs", shape, kinds.INT8, outputs.quantization, variable=True),
            self._tensor(f"{name}/cells", shape, kinds.INT16, cells, variable=True),
        ]

    def _intermediates(self, result):
        *unused, hidden = _INTERMEDIATES
        kinds = schema().TensorType
        indices = [self._tensor(name, (0,), kinds.FLOAT32, None) for name in unused]
        grid = self._graph.tensors[result].quantization
        return np.array([*indices, self._tensor(hidden, (0,), kinds.INT8, grid)], np.int32)

    def _tensor(self, name, shape, kind, grid, *, buffer=0, variable=False):
        """Add a tensor and return its index."""
        tensor: Any = schema().TensorT()
        tensor.name, tensor.type, tensor.buffer = name.encode(), kind, buffer
        tensor.shape = np.array(shape, np.int32)
        tensor.isVariable = variable
        tensor.quantization = copy.deepcopy(grid)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def _grid(scale):
    grid: Any = schema().QuantizationParametersT()
    grid.scale, grid.zeroPoint = np.array([scale], np.float32), np.zeros(1, np.int64)
    return grid


def _input(operator, name, role):
    """Return the index of the tensor that an operator of a name reads in a role."""
    return int(operator.inputs[operators.row(name).position(role)])
