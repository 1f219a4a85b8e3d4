"""Dataclasses for the contents of a TFLite flatbuffer."""

import dataclasses
import enum
import functools
import math
import re
from typing import Any

import numpy as np

# Options that name the subgraphs which an operator executes, in the order of execution.
_SUBGRAPH_OPTIONS = (
    "init_subgraph_index",
    "then_subgraph_index",
    "else_subgraph_index",
    "cond_subgraph_index",
    "body_subgraph_index",
)

# The name under which TFLite Micro registers the operator that decodes compressed weights.
DECODE = "TFLM_DECODE"


class DataType(enum.StrEnum):
    """The element type of a tensor."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT32 = "int32"
    UINT8 = "uint8"
    INT64 = "int64"
    STRING = "string"
    BOOL = "bool"
    INT16 = "int16"
    COMPLEX64 = "complex64"
    INT8 = "int8"
    FLOAT64 = "float64"
    COMPLEX128 = "complex128"
    UINT64 = "uint64"
    RESOURCE = "resource"
    VARIANT = "variant"
    UINT32 = "uint32"
    UINT16 = "uint16"
    INT4 = "int4"
    BFLOAT16 = "bfloat16"
    INT2 = "int2"
    UINT4 = "uint4"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E5M2 = "float8_e5m2"

    @property
    def is_float(self):
        """Whether elements are real floating-point numbers of any width."""
        return self.value.startswith(("float", "bfloat"))

    @property
    def is_integer(self):
        """Whether elements are integers of any width."""
        return self.value.startswith(("int", "uint"))

    @property
    def bits(self):
        """Bits of one stored element; 0 if elements have no fixed width."""
        if self in (DataType.STRING, DataType.RESOURCE, DataType.VARIANT):
            return 0
        if self is DataType.BOOL:
            return 8
        return int(re.findall(r"\d+", self.value)[0])

    @property
    def numpy(self):
        """The numpy dtype of `Tensor.data`.

        Integers narrower than a byte are unpacked to bytes; float types that numpy does not have
        appear as unsigned integers with the same bits.
        """
        special = {
            DataType.INT4: "int8",
            DataType.INT2: "int8",
            DataType.UINT4: "uint8",
            DataType.BFLOAT16: "uint16",
            DataType.FLOAT8_E4M3FN: "uint8",
            DataType.FLOAT8_E5M2: "uint8",
        }
        if not self.bits:
            return np.dtype("uint8")
        return np.dtype(special.get(self, self.value)).newbyteorder("<")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Tensor:
    """A tensor of a subgraph.

    Args:
        index: Its position in the subgraph.
        name: Its name; TensorFlow's converter puts Keras layer names into it.
        shape: Its dimensions, in elements.
        shape_signature: The same, with -1 where a dimension is dynamic.
        dtype: Its `DataType`.
        scales: Float32 array: empty, one (per tensor) or one per channel.
        zero_points: Int64 array of the length of `scales`.
        axis: The dimension that the scales belong to; `None` with fewer than two scales.
        is_variable: Whether the tensor keeps its value from one run to the next.
        is_sparse: Whether the stored values leave zeros out (`data` is then one-dimensional).
        buffer: Index of the buffer with the values in the file.
        stored: Uint8 view of the stored bytes; empty if the file holds no values.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: DataType
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int | None
    is_variable: bool
    is_sparse: bool
    buffer: int
    stored: np.ndarray = dataclasses.field(repr=False)

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_constant(self):
        """Whether the file holds the tensor's values."""
        return self.stored.size > 0

    @functools.cached_property
    def data(self):
        """The values as a read-only numpy array of `shape`; `None` if the file has none.

        It is a view of the file's bytes, except for integers narrower than a byte, which are
        unpacked.
        """
        if not self.is_constant:
            return None
        if self.dtype.is_integer and self.dtype.bits < 8:
            values = _unpack(self.stored, self.dtype)
            return values[: self.size].reshape(self.shape) if not self.is_sparse else values
        values = self.stored.view(self.dtype.numpy)
        flat = self.is_sparse or not self.dtype.bits
        return values if flat else values.reshape(self.shape)

    @property
    def zeros(self):
        """Number of stored weights that represent zero; `None` if the file holds no values.

        An integer represents zero if it equals the zero point of its channel.
        """
        if not self.is_constant or self.is_sparse or not self.dtype.bits:
            return None
        zero_points = self.zero_points
        if zero_points.size < 2 or self.axis is None:
            zero = int(zero_points[0]) if zero_points.size else 0
            return int(np.count_nonzero(self.data == zero))
        shape = [1] * len(self.shape)
        shape[self.axis] = -1
        return int(np.count_nonzero(self.data == zero_points.reshape(shape)))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Operator:
    """An operator of a subgraph.

    Args:
        index: Its position in the subgraph, which is the order of execution.
        name: The built-in name (`"CONV_2D"`), or a custom operator's own.
        version: The operator version that the interpreter must know.
        inputs: Its input tensors; `None` for an optional one that is absent.
        outputs: Its output tensors.
        options: Its options by snake_case name; enumerations as names
            (`{"padding": "SAME", "stride_w": 1, "fused_activation_function": "RELU"}`).
        is_custom: Whether the operator is not one of the built-in ones.
        intermediates: Tensors whose scales an LSTM has for results inside it; without elements.
    """

    index: int
    name: str
    version: int
    inputs: tuple[Tensor | None, ...] = dataclasses.field(repr=False)
    outputs: tuple[Tensor, ...] = dataclasses.field(repr=False)
    options: dict[str, Any]
    is_custom: bool
    intermediates: tuple[Tensor, ...] = dataclasses.field(default=(), repr=False)

    @property
    def activation(self):
        """Name of the fused activation, `"NONE"` if there is none."""
        return self.options.get("fused_activation_function", "NONE")

    @property
    def subgraphs(self):
        """Indices of the subgraphs that it executes: those of a CALL_ONCE, IF or WHILE."""
        return tuple(self.options[name] for name in _SUBGRAPH_OPTIONS if name in self.options)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Subgraph:
    """One graph of a model; all but the first are the bodies of control-flow operators.

    Args:
        index: Its position in the file.
        name: Its name.
        tensors: Its tensors, by index.
        operators: Its operators in the order of execution.
        inputs: The input tensors.
        outputs: The output tensors.
    """

    index: int
    name: str
    tensors: tuple[Tensor, ...] = dataclasses.field(repr=False)
    operators: tuple[Operator, ...] = dataclasses.field(repr=False)
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @functools.cached_property
    def placeholders(self):
        """The indices of intermediates of operators that have no elements."""
        inner = (tensor for op in self.operators for tensor in op.intermediates)
        return frozenset(tensor.index for tensor in inner if not tensor.size)

    @functools.cached_property
    def producers(self):
        """The operator that produces a tensor, by tensor index."""
        return {tensor.index: op for op in self.operators for tensor in op.outputs}

    @functools.cached_property
    def consumers(self):
        """The operators that read a tensor, by tensor index."""
        readers: dict[int, list[Operator]] = {}
        for op in self.operators:
            for index in {tensor.index for tensor in op.inputs if tensor is not None}:
                readers.setdefault(index, []).append(op)
        return {index: tuple(ops) for index, ops in readers.items()}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Signature:
    """A named entry point of a subgraph, with the names that users know of inputs and outputs.

    Args:
        key: The signature's name (`"serving_default"`).
        subgraph: Index of the subgraph.
        inputs: Tensors by name.
        outputs: Tensors by name.
    """

    key: str
    subgraph: int
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A TFLite model.

    Args:
        content: The whole file.
        version: The schema's version, 3.
        description: The description by the program that wrote it (`"MLIR Converted."`).
        subgraphs: The graphs; the first one is the model.
        signatures: The named entry points.
        metadata: Uint8 views of the metadata buffers by name.
    """

    content: bytes = dataclasses.field(repr=False)
    version: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: dict[str, np.ndarray] = dataclasses.field(repr=False)

    @property
    def tensors(self):
        """The tensors of the first subgraph."""
        return self.subgraphs[0].tensors

    @property
    def operators(self):
        """The operators of the first subgraph, in the order of execution."""
        return self.subgraphs[0].operators

    @property
    def inputs(self):
        """The input tensors."""
        return self.subgraphs[0].inputs

    @property
    def outputs(self):
        """The output tensors."""
        return self.subgraphs[0].outputs

    @property
    def has_encoded_weights(self):
        """Whether weights are compressed for TFLite Micro, the only runtime that decodes them."""
        return any(op.name == DECODE for graph in self.subgraphs for op in graph.operators)

    @property
    def float_tensors(self):
        """The floating-point tensors of all subgraphs, without placeholders inside an LSTM."""
        return tuple(
            tensor
            for graph in self.subgraphs
            for tensor in graph.tensors
            if tensor.dtype.is_float and tensor.index not in graph.placeholders
        )


def _unpack(stored, dtype):
    """Unpack integers of 2 or 4 bits, the first in the lowest bits of a byte."""
    shifts = np.arange(0, 8, dtype.bits, dtype=np.uint8)
    values = (stored[:, None] >> shifts) & (2**dtype.bits - 1)
    values = values.ravel()
    if dtype is DataType.UINT4:
        return values
    sign = 2 ** (dtype.bits - 1)
    return (values ^ sign).astype(np.int8) - np.int8(sign)
