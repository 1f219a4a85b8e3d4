"""TFLite's operators, one row each: the role of every input, the channel axis, ranks and MACs.

A flatbuffer lists the inputs of an operator by position. Only this table knows the positions: all
other code looks up an input by its role.

Source: TensorFlow Lite's operator definitions (`tfl_ops.td`) and reference kernels.
"""

import dataclasses
import enum
import math
from collections.abc import Callable, Iterator

from keras_compress.errors import FlatbufferError
from keras_compress.tflite.model import DECODE, Operator, Tensor


class OperandRole(enum.StrEnum):
    """The role of an input of an operator."""

    DATA = "data"
    OTHER = "other"  # the second matrix of a product
    WEIGHTS = "weights"
    BIAS = "bias"
    SLOPES = "slopes"
    STATE = "state"
    VARIABLE = "variable"
    PADDING_VALUE = "padding_value"
    # Of recurrent layers and SVDF.
    INPUT_WEIGHTS = "input_weights"
    RECURRENT_WEIGHTS = "recurrent_weights"
    PEEPHOLE_WEIGHTS = "peephole_weights"
    PROJECTION_WEIGHTS = "projection_weights"
    PROJECTION_BIAS = "projection_bias"
    GATE_NORMALIZATION = "gate_normalization"
    FEATURE_WEIGHTS = "feature_weights"
    TIME_WEIGHTS = "time_weights"
    # Of DECODE.
    ENCODED = "encoded"
    ANCILLARY = "ancillary"
    # Parameters, which control the computation.
    AXES = "axes"
    BEGIN = "begin"
    BLOCK_SHAPE = "block_shape"
    COUNT = "count"
    CROPS = "crops"
    END = "end"
    INDICES = "indices"
    MULTIPLES = "multiples"
    NEW_AXIS = "new_axis"
    PADDINGS = "paddings"
    PERMUTATION = "permutation"
    SHAPE = "shape"
    SIZE = "size"
    SPATIAL_PADDINGS = "spatial_paddings"
    STRIDES = "strides"

    @property
    def is_parameter(self) -> bool:
        """Whether the input controls the computation: not a feature map, even if it is computed."""
        return self in _PARAMETERS


_PARAMETERS = frozenset(
    {
        OperandRole.AXES,
        OperandRole.BEGIN,
        OperandRole.BLOCK_SHAPE,
        OperandRole.COUNT,
        OperandRole.CROPS,
        OperandRole.END,
        OperandRole.INDICES,
        OperandRole.MULTIPLES,
        OperandRole.NEW_AXIS,
        OperandRole.PADDINGS,
        OperandRole.PERMUTATION,
        OperandRole.SHAPE,
        OperandRole.SIZE,
        OperandRole.SPATIAL_PADDINGS,
        OperandRole.STRIDES,
    }
)


@dataclasses.dataclass(frozen=True)
class Operand:
    """One input of an operator.

    Args:
        role: Its role in the operator.
        rank: Number of dimensions that kernels require; `None` for any.
        least_rank: Smallest number of dimensions that kernels accept, if `rank` is `None`.
        is_optional: Whether it may be absent.
        is_trained: Whether it holds weights of the network if it is a constant.
    """

    role: OperandRole
    rank: int | None = None
    least_rank: int = 0
    is_optional: bool = False
    is_trained: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """The properties of one kind of operator.

    Args:
        name: The operator's name in TFLite's schema, or a custom operator's own.
        inputs: Its inputs in the order of the file.
        repeated: How many of the last inputs repeat if an operator has more inputs.
        channel_axis: Axis of the output channels in its weights; `None` if there is none.
        output_rank: Number of dimensions of its output that kernels require; `None` for any.
        options: Names of the options that kernels require.
        has_inputs: Whether it reads a tensor.
        has_output: Whether it produces a tensor.
        has_integer_weights: Whether TFLite has a kernel that multiplies integer weights.
        is_conversion: Whether it only converts a tensor to another number format.
        macs: Function from an operator to its multiply-accumulate operations; `None` if it has
            none.
    """

    name: str
    inputs: tuple[Operand, ...]
    repeated: int = 1
    channel_axis: int | None = None
    output_rank: int | None = None
    options: tuple[str, ...] = ()
    has_inputs: bool = True
    has_output: bool = True
    has_integer_weights: bool = False
    is_conversion: bool = False
    macs: Callable[[Operator], int] | None = None

    def at(self, position: int) -> Operand:
        """Return the input at a position, counted from 0."""
        beyond = position - len(self.inputs)
        return self.inputs[position if beyond < 0 else beyond % self.repeated - self.repeated]

    def position(self, role: OperandRole) -> int | None:
        """Return the position of the first input of a role; `None` if there is none.

        Example:
            >>> row("TRANSPOSE_CONV").position(OperandRole.DATA)
            2
        """
        return next((i for i, operand in enumerate(self.inputs) if operand.role == role), None)

    @property
    def is_convolution_2d(self) -> bool:
        """Whether it slides weights over height and width."""
        return self.output_rank == 4 and self.position(OperandRole.WEIGHTS) is not None


def row(name: str) -> Row:
    """Return the properties of an operator.

    Args:
        name: The operator's name.

    Returns:
        Its `Row`. For an operator that is not in the table, all inputs are data.

    Example:
        >>> row("DEPTHWISE_CONV_2D").channel_axis
        3
    """
    return _ROWS.get(name) or Row(name, (_ANY,))


def names() -> tuple[str, ...]:
    """Return the names of the operators that have a row."""
    return tuple(_ROWS)


def inputs(operator: Operator) -> Iterator[tuple[Operand, Tensor | None]]:
    """Yield each input of an operator with its `Operand`; an absent input is `None`.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.
    """
    declared = row(operator.name)
    return ((declared.at(position), tensor) for position, tensor in enumerate(operator.inputs))


def operands(operator: Operator, role: OperandRole) -> tuple[Tensor | None, ...]:
    """Return all inputs of a role, `None` for each that is absent.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.
        role: An `OperandRole`.
    """
    return tuple(tensor for declared, tensor in inputs(operator) if declared.role == role)


def operand(operator: Operator, role: OperandRole) -> Tensor | None:
    """Return the first input of a role, or `None` if it is absent.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.
        role: An `OperandRole`.

    Example:
        >>> operand(model.operators[0], OperandRole.WEIGHTS).shape  # doctest: +SKIP
        (16, 3, 3, 3)
    """
    return next(iter(operands(operator, role)), None)


def required(operator: Operator, role: OperandRole) -> Tensor:
    """Return the first input of a role that the operator requires.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.
        role: An `OperandRole`.

    Raises:
        FlatbufferError: The input is absent.
    """
    tensor = operand(operator, role)
    if tensor is None:
        raise FlatbufferError(
            f"A {operator.name} must have an input of the role {str(role)!r}. "
            f"Received: operator {operator.index} without it"
        )
    return tensor


def data(operator: Operator) -> Tensor | None:
    """Return the feature map that an operator processes, or `None` if it has none."""
    return operand(operator, OperandRole.DATA)


def weights(operator: Operator) -> Tensor | None:
    """Return the weights of a convolution or Dense layer, or `None` for other operators."""
    return operand(operator, OperandRole.WEIGHTS)


def bias(operator: Operator) -> Tensor | None:
    """Return the bias, or `None` if the operator has none."""
    return operand(operator, OperandRole.BIAS)


def trained(operator: Operator) -> tuple[Tensor, ...]:
    """Return the inputs that hold weights of the network if they are constants."""
    return tuple(t for declared, t in inputs(operator) if declared.is_trained and t is not None)


def feature_maps(operator: Operator) -> tuple[Tensor, ...]:
    """Return the tensors that are computed, not stored: inputs, then outputs."""
    computed = (
        tensor
        for declared, tensor in inputs(operator)
        if tensor is not None and not tensor.is_constant and not declared.role.is_parameter
    )
    return (*computed, *operator.outputs)


def axes(operator: Operator) -> tuple[int, ...]:
    """Return the axes that an operator works along, counted from 0; empty if they are unknown."""
    tensor = data(operator)
    if tensor is None or not tensor.shape:
        return ()
    rank = len(operator.outputs[0].shape) if operator.name == "PACK" else len(tensor.shape)
    if row(operator.name).position(OperandRole.AXES) is None:
        values = [operator.options["axis"]] if "axis" in operator.options else []
    else:
        stored = operand(operator, OperandRole.AXES)
        values = [] if stored is None or not stored.is_constant else stored.data.ravel().tolist()
    return tuple(int(axis) % rank for axis in values)


def _convolution_macs(operator):
    """Return output values * weights of one output channel."""
    kernel, axis = required(operator, OperandRole.WEIGHTS).shape, row(operator.name).channel_axis
    per_channel = (size for dimension, size in enumerate(kernel) if dimension != axis)
    return operator.outputs[0].size * math.prod(per_channel)


def _transposed_macs(operator):
    """Return input values * the weights (out, height, width) that each of them is multiplied by."""
    kernel = required(operator, OperandRole.WEIGHTS).shape
    return required(operator, OperandRole.DATA).size * math.prod(kernel[:3])


def _dense_macs(operator):
    """Return rows * inputs * units."""
    units, width = required(operator, OperandRole.WEIGHTS).shape
    return required(operator, OperandRole.DATA).size // width * width * units


def _product_macs(operator):
    """Return output values * columns of the left matrix."""
    left = required(operator, OperandRole.DATA).shape
    inner = left[-2] if operator.options.get("adj_x") else left[-1]
    return operator.outputs[0].size * inner


def _lstm_macs(operator):
    """Return time steps * input and recurrent weights of the four gates."""
    matrices = (
        *operands(operator, OperandRole.INPUT_WEIGHTS),
        *operands(operator, OperandRole.RECURRENT_WEIGHTS),
    )
    output = operator.outputs[0]
    return output.size // output.shape[-1] * sum(t.size for t in matrices if t is not None)


_ANY = Operand(OperandRole.DATA, is_optional=True)
_DATA = Operand(OperandRole.DATA)
_MAP = Operand(OperandRole.DATA, rank=4)
_TRAINED_DATA = Operand(OperandRole.DATA, is_trained=True)
_AXES = Operand(OperandRole.AXES)
_BEGIN = Operand(OperandRole.BEGIN)
_INDICES = Operand(OperandRole.INDICES)
_SHAPE = Operand(OperandRole.SHAPE)
_SIZE = Operand(OperandRole.SIZE)
_BLOCK_SHAPE = Operand(OperandRole.BLOCK_SHAPE)
_PADDINGS = Operand(OperandRole.PADDINGS)
_KERNEL = Operand(OperandRole.WEIGHTS, rank=4, is_trained=True)
_BIAS = Operand(OperandRole.BIAS, is_optional=True)
_STATE = Operand(OperandRole.STATE)
_INPUT_WEIGHTS = Operand(OperandRole.INPUT_WEIGHTS, is_trained=True)
_RECURRENT_WEIGHTS = Operand(OperandRole.RECURRENT_WEIGHTS, is_trained=True)


def _optional(operand):
    return dataclasses.replace(operand, is_optional=True)


# The gates of an LSTM are in the order input, forget, cell, output. An LSTM with coupled gates has
# no weights for the input gate.
_LSTM = (
    Operand(OperandRole.DATA, rank=3),
    _optional(_INPUT_WEIGHTS),
    *[_INPUT_WEIGHTS] * 3,
    _optional(_RECURRENT_WEIGHTS),
    *[_RECURRENT_WEIGHTS] * 3,
    *[Operand(OperandRole.PEEPHOLE_WEIGHTS, is_optional=True, is_trained=True)] * 3,
    _BIAS,
    *[Operand(OperandRole.BIAS)] * 3,
    Operand(OperandRole.PROJECTION_WEIGHTS, is_optional=True, is_trained=True),
    Operand(OperandRole.PROJECTION_BIAS, is_optional=True),
    *[_STATE] * 2,
    *[Operand(OperandRole.GATE_NORMALIZATION, is_optional=True)] * 4,
)
_WINDOW = ("filter_height", "filter_width")
_RESIZED = (_MAP, Operand(OperandRole.SIZE, rank=1))

_ROWS = {
    entry.name: entry
    for entry in (
        Row("ARG_MAX", (_DATA, _AXES)),
        Row("ARG_MIN", (_DATA, _AXES)),
        Row("ASSIGN_VARIABLE", (Operand(OperandRole.VARIABLE), _DATA), has_output=False),
        Row("AVERAGE_POOL_2D", (_MAP,), output_rank=4, options=_WINDOW),
        Row(
            "BATCH_MATMUL",
            (
                Operand(OperandRole.DATA, least_rank=2, is_trained=True),
                Operand(OperandRole.OTHER, least_rank=2, is_trained=True),
            ),
            macs=_product_macs,
        ),
        Row("BATCH_TO_SPACE_ND", (_DATA, _BLOCK_SHAPE, Operand(OperandRole.CROPS))),
        Row("BROADCAST_TO", (_DATA, _SHAPE)),
        Row("CALL_ONCE", (_ANY,), has_inputs=False, has_output=False),
        Row(
            "CONV_2D",
            (_MAP, _KERNEL, _BIAS),
            channel_axis=0,
            output_rank=4,
            has_integer_weights=True,
            macs=_convolution_macs,
        ),
        Row(
            "CONV_3D",
            (
                Operand(OperandRole.DATA, rank=5),
                Operand(OperandRole.WEIGHTS, rank=5, is_trained=True),
                _BIAS,
            ),
            channel_axis=4,
            output_rank=5,
            macs=_convolution_macs,
        ),
        Row("CUMSUM", (_DATA, _AXES)),
        Row(DECODE, (Operand(OperandRole.ENCODED), Operand(OperandRole.ANCILLARY)), repeated=2),
        Row("DENSIFY", (_TRAINED_DATA,)),
        Row(
            "DEPTHWISE_CONV_2D",
            (_MAP, _KERNEL, _BIAS),
            channel_axis=3,
            output_rank=4,
            has_integer_weights=True,
            macs=_convolution_macs,
        ),
        Row("DEQUANTIZE", (_TRAINED_DATA,), is_conversion=True),
        Row("EMBEDDING_LOOKUP", (_INDICES, _TRAINED_DATA)),
        Row("EXPAND_DIMS", (_DATA, Operand(OperandRole.NEW_AXIS))),
        Row("FILL", (_SHAPE, _DATA)),
        Row(
            "FULLY_CONNECTED",
            (_DATA, Operand(OperandRole.WEIGHTS, rank=2, is_trained=True), _BIAS),
            channel_axis=0,
            has_integer_weights=True,
            macs=_dense_macs,
        ),
        Row("GATHER", (_TRAINED_DATA, _INDICES)),
        Row("GATHER_ND", (_DATA, _INDICES)),
        Row("MAX_POOL_2D", (_MAP,), output_rank=4, options=_WINDOW),
        Row("MEAN", (_DATA, _AXES)),
        Row("MIRROR_PAD", (_DATA, _PADDINGS)),
        Row("PAD", (_DATA, _PADDINGS)),
        Row("PADV2", (_DATA, _PADDINGS, Operand(OperandRole.PADDING_VALUE))),
        Row("PRELU", (_DATA, Operand(OperandRole.SLOPES))),
        Row("QUANTIZE", (_DATA,), is_conversion=True),
        Row("READ_VARIABLE", (Operand(OperandRole.VARIABLE),)),
        Row("REDUCE_ALL", (_DATA, _AXES)),
        Row("REDUCE_ANY", (_DATA, _AXES)),
        Row("REDUCE_MAX", (_DATA, _AXES)),
        Row("REDUCE_MIN", (_DATA, _AXES)),
        Row("REDUCE_PROD", (_DATA, _AXES)),
        Row("RESHAPE", (_DATA, _optional(_SHAPE))),
        Row("RESIZE_BILINEAR", _RESIZED, output_rank=4),
        Row("RESIZE_NEAREST_NEIGHBOR", _RESIZED, output_rank=4),
        Row("REVERSE_V2", (_DATA, _AXES)),
        Row("SLICE", (_DATA, _BEGIN, _SIZE)),
        Row("SOFTMAX", (_DATA,)),
        Row("SPACE_TO_BATCH_ND", (_DATA, _BLOCK_SHAPE, Operand(OperandRole.SPATIAL_PADDINGS))),
        Row("SPLIT", (_AXES, _DATA)),
        Row("SPLIT_V", (_DATA, _SIZE, _AXES)),
        Row(
            "STRIDED_SLICE",
            (
                _DATA,
                _BEGIN,
                Operand(OperandRole.END),
                Operand(OperandRole.STRIDES),
            ),
        ),
        Row("SUM", (_DATA, _AXES)),
        Row(
            "SVDF",
            (
                _DATA,
                Operand(OperandRole.FEATURE_WEIGHTS, is_trained=True),
                Operand(OperandRole.TIME_WEIGHTS, is_trained=True),
                _BIAS,
                _STATE,
            ),
            channel_axis=0,
        ),
        Row("TILE", (_DATA, Operand(OperandRole.MULTIPLES))),
        Row("TOPK_V2", (_DATA, Operand(OperandRole.COUNT))),
        Row("TRANSPOSE", (_DATA, Operand(OperandRole.PERMUTATION))),
        Row(
            "TRANSPOSE_CONV",
            (_SHAPE, _KERNEL, _MAP, _BIAS),
            channel_axis=0,
            output_rank=4,
            options=("stride_h", "stride_w"),
            has_integer_weights=True,
            macs=_transposed_macs,
        ),
        Row(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            _LSTM,
            channel_axis=0,
            output_rank=3,
            macs=_lstm_macs,
        ),
        Row(
            "UNIDIRECTIONAL_SEQUENCE_RNN",
            (_DATA, _INPUT_WEIGHTS, _RECURRENT_WEIGHTS, Operand(OperandRole.BIAS), _STATE),
            channel_axis=0,
        ),
        Row("VAR_HANDLE", (_ANY,), has_inputs=False),
    )
}
