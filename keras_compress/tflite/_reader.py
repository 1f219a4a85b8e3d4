"""Walks a TFLite flatbuffer without trusting any offset or length in it."""

import functools
import importlib
import math
import re

import numpy as np

from keras_compress.errors import FlatbufferError
from keras_compress.support.printable import printable
from keras_compress.tflite.model import (
    DataType,
    Model,
    Operator,
    Signature,
    Subgraph,
    Tensor,
)

# The smallest size of a table, which limits files with many offsets to the same table.
_TABLE_BYTES = 24


@functools.cache
def schema():
    """Return the classes that flatc generated from TFLite's schema."""
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError:
        return importlib.import_module("tensorflow.lite.python.schema_py_generated")


@functools.cache
def _enum(name):
    """Map the values of an enumeration of the schema to names."""
    members = vars(getattr(schema(), name)).items()
    return {value: key for key, value in members if isinstance(value, int)}


def operator_names():
    """Return the names of all built-in operators."""
    return frozenset(_enum("BuiltinOperator").values())


@functools.cache
def _option_fields(name):
    """Return (snake_case name, accessor, whether it is a vector) of a table's plain fields."""
    fields = []
    accessors = getattr(schema(), name)
    for field in vars(getattr(schema(), f"{name}T")()):
        method = field[0].upper() + field[1:]
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", field).lower()
        is_vector = hasattr(accessors, f"{method}Length")
        if not is_vector or hasattr(accessors, f"{method}AsNumpy"):
            fields.append((snake, method, is_vector))
    return fields


_OPTION_ENUMS = {
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "mode": "MirrorPadMode",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "quantized_bias_type": "TensorType",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
}


class Reader:
    """Walks one file; `_spend` bounds the walk by the file's size."""

    def __init__(self, content):
        self._bytes = content
        self._array = np.frombuffer(content, np.uint8)
        # A well-formed file is walked once; twice its size leaves a margin for shared vectors.
        self._budget = 2 * len(content) + 65536
        # Subgraphs may share all weights; code that reads every tensor reads them for each.
        self._values_budget = 64 * len(content) + (1 << 20)
        self._root = schema().Model.GetRootAs(content, 0)

    def model(self):
        root = self._root
        self._buffers = [self._buffer(b) for b in self._tables(root, "Buffers")]
        self._codes = [self._operator_code(c) for c in self._tables(root, "OperatorCodes")]
        graphs = self._tables(root, "Subgraphs")
        subgraphs = tuple(self._subgraph(index, graph) for index, graph in enumerate(graphs))
        if not subgraphs:
            raise FlatbufferError("It holds no subgraph.")
        return Model(
            content=self._bytes,
            version=root.Version(),
            description=self._text(root.Description()),
            subgraphs=subgraphs,
            signatures=tuple(
                self._signature(signature, subgraphs)
                for signature in self._tables(root, "SignatureDefs")
            ),
            metadata={
                self._text(entry.Name()): self._pick(self._buffers, entry.Buffer(), "buffer")
                for entry in self._tables(root, "Metadata")
            },
        )

    def _spend(self, size):
        self._budget -= size
        if self._budget < 0:
            raise FlatbufferError("It refers to more data than it holds.")

    def _spend_values(self, size):
        self._values_budget -= size
        if self._values_budget < 0:
            raise FlatbufferError("Its tensors refer to more data than it holds.")

    def _tables(self, parent, name):
        """Yield the tables of a vector."""
        length = getattr(parent, f"{name}Length")()
        if length * 4 > len(self._bytes):
            raise FlatbufferError(f"Its list of {name.lower()} is longer than the file.")
        get = getattr(parent, name)
        for position in range(length):
            self._spend(_TABLE_BYTES)
            yield get(position)

    def _vector(self, parent, name):
        """Return a vector of numbers as an array that views the file."""
        values = getattr(parent, f"{name}AsNumpy")()
        if not isinstance(values, np.ndarray):
            return np.empty(0, np.int32)
        self._spend(values.nbytes)
        return values

    def _integers(self, parent, name):
        return tuple(self._vector(parent, name).tolist())

    def _text(self, value):
        if value is None:
            return ""
        self._spend(len(value))
        return printable(value.decode("utf-8", "replace"))

    @staticmethod
    def _pick(items, index, kind):
        if not 0 <= index < len(items):
            raise FlatbufferError(f"It names {kind} {index} of {len(items)}.")
        return items[index]

    def _buffer(self, buffer):
        # Files over 2 GB store data after the flatbuffer, at an offset in the file.
        if buffer.Offset() > 1:
            start, size = buffer.Offset(), buffer.Size()
            if start + size > len(self._bytes):
                raise FlatbufferError(f"A buffer ends at byte {start + size:,}.")
            return self._array[start : start + size]
        data = buffer.DataAsNumpy()
        if not isinstance(data, np.ndarray):
            return self._array[:0]
        self._spend(data.nbytes)
        return data

    def _operator_code(self, code):
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = self._text(code.CustomCode())
        name = _enum("BuiltinOperator").get(number, f"BUILTIN_{number}")
        is_custom = name == "CUSTOM"
        return (custom if is_custom and custom else name), code.Version(), is_custom

    def _subgraph(self, index, graph):
        tensors = tuple(
            self._tensor(position, tensor)
            for position, tensor in enumerate(self._tables(graph, "Tensors"))
        )
        return Subgraph(
            index=index,
            name=self._text(graph.Name()),
            tensors=tensors,
            operators=tuple(
                self._operator(position, operator, tensors)
                for position, operator in enumerate(self._tables(graph, "Operators"))
            ),
            inputs=self._references(graph, "Inputs", tensors),
            outputs=self._references(graph, "Outputs", tensors),
        )

    def _references(self, parent, name, tensors):
        return tuple(self._pick(tensors, i, "tensor") for i in self._integers(parent, name))

    def _tensor(self, index, tensor):
        shape = self._integers(tensor, "Shape")
        scales, zero_points, axis = self._quantization(tensor.Quantization(), shape)
        fields = {
            "index": index,
            "name": self._text(tensor.Name()),
            "shape": shape,
            "shape_signature": self._integers(tensor, "ShapeSignature") or shape,
            "dtype": self._data_type(tensor.Type()),
            "is_sparse": tensor.Sparsity() is not None,
            "stored": self._pick(self._buffers, tensor.Buffer(), "buffer"),
        }
        self._spend_values(fields["stored"].size)
        self._check_size(**fields)
        return Tensor(
            scales=scales,
            zero_points=zero_points,
            axis=axis,
            is_variable=bool(tensor.IsVariable()),
            buffer=tensor.Buffer(),
            **fields,
        )

    @staticmethod
    def _data_type(number):
        name = _enum("TensorType").get(number)
        if name is None:
            raise FlatbufferError(f"A tensor has the unknown type {number}.")
        return DataType(name.lower())

    @staticmethod
    def _check_size(name, shape, dtype, is_sparse, stored, **_):
        if any(dimension < 0 for dimension in shape):
            raise FlatbufferError(f"Tensor {name!r} has the shape {list(shape)}.")
        if not stored.size or not dtype.bits:
            return
        if is_sparse:
            needed = stored.size // dtype.numpy.itemsize * dtype.numpy.itemsize
        else:
            needed = -(-math.prod(shape) * dtype.bits // 8)
        if needed != stored.size:
            raise FlatbufferError(
                f"Tensor {name!r} of shape {list(shape)} needs {needed:,} bytes of {dtype}, "
                f"and {stored.size:,} are stored."
            )

    def _quantization(self, parameters, shape):
        empty = np.empty(0, np.float32), np.empty(0, np.int64), None
        if parameters is None:
            return empty
        scales = self._vector(parameters, "Scale")
        zero_points = self._vector(parameters, "ZeroPoint")
        if not scales.size:
            return empty
        if not zero_points.size:
            zero_points = np.zeros(scales.size, np.int64)
        if scales.size == 1:
            return scales, zero_points[:1], None
        axis = parameters.QuantizedDimension()
        if not 0 <= axis < len(shape) or not scales.size == zero_points.size == shape[axis]:
            raise FlatbufferError(
                f"A tensor of shape {list(shape)} has {scales.size} scales and "
                f"{zero_points.size} zero points on axis {axis}."
            )
        return scales, zero_points, axis

    def _operator(self, index, operator, tensors):
        name, version, is_custom = self._pick(self._codes, operator.OpcodeIndex(), "operator code")
        return Operator(
            index=index,
            name=name,
            version=version,
            inputs=tuple(
                None if i == -1 else self._pick(tensors, i, "tensor")
                for i in self._integers(operator, "Inputs")
            ),
            outputs=self._references(operator, "Outputs", tensors),
            options=self._options(operator),
            is_custom=is_custom,
            intermediates=self._references(operator, "Intermediates", tensors),
        )

    def _options(self, operator):
        kind = _enum("BuiltinOptions").get(operator.BuiltinOptionsType(), "NONE")
        table = operator.BuiltinOptions()
        if kind == "NONE" or table is None:
            return {}
        fields = getattr(schema(), kind)()
        fields.Init(table.Bytes, table.Pos)
        options = {}
        for name, method, is_vector in _option_fields(kind):
            value = self._integers(fields, method) if is_vector else getattr(fields, method)()
            if isinstance(value, bytes):
                value = self._text(value)
            if name in _OPTION_ENUMS:
                value = _enum(_OPTION_ENUMS[name]).get(value, value)
            if isinstance(value, (int, float, str, bool, tuple)):
                options[name] = value
        return options

    def _signature(self, signature, subgraphs):
        graph = self._pick(subgraphs, signature.SubgraphIndex(), "subgraph")

        def named(which):
            return {
                self._text(entry.Name()): self._pick(graph.tensors, entry.TensorIndex(), "tensor")
                for entry in self._tables(signature, which)
            }

        return Signature(
            key=self._text(signature.SignatureKey()),
            subgraph=graph.index,
            inputs=named("Inputs"),
            outputs=named("Outputs"),
        )
