"""Where activation ranges belong: on exactly the tensors that the TFLite file will store."""

import dataclasses
import warnings

import keras

from keras_compress.graph.graph import Value
from keras_compress.layers import base as layer_types
from keras_compress.layers import operations
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import BYTE_RANGES, FIXED_RANGES, activation_name, is_fusable, role
from keras_compress.lowering import attention, normalization
from keras_compress.lowering.recurrent_layers import LstmSteps


@dataclasses.dataclass(frozen=True)
class Range:
    """How a tensor is quantized.

    Args:
        fixed: Pair (minimum, maximum) that the operator prescribes, or `None`.
        tied_to: The value whose range this tensor shares, or `None` if it has its own.
        averages: Whether the tensor holds means of integers, whose ties TFLite rounds away from
            zero.
        masked: Whether the tensor holds masked attention scores, which must not widen the range.
        non_negative: Whether the tensor is the output of a ReLU.
    """

    fixed: tuple | None = None
    tied_to: Value | None = None
    averages: bool = False
    masked: bool = False
    non_negative: bool = False


@dataclasses.dataclass(frozen=True)
class RangePlacement:
    """The ranges and foldings chosen for a graph.

    Args:
        ranges: Dict from each quantized value to its `Range`.
        folded: Dict from a kernel's call to the call of the BatchNormalization folded into it.
        unknown: Calls of layers that stay in float.
        governing: Dict from each value to the value whose range it has; `None` if it has none yet.
    """

    ranges: dict
    folded: dict
    unknown: list
    governing: dict


def place_ranges(graph):
    """Decide which values get a range and which normalizations are folded.

    Args:
        graph: A lowered `Graph`.

    Returns:
        A `RangePlacement`.
    """
    planner = _Planner(graph)
    for value in graph.flat_inputs:
        planner.give_range(value)
    for call in graph.calls:
        planner.visit(call)
    return RangePlacement(planner.ranges, planner.folded, planner.unknown, planner.governing)


def foldable_batch_norm(graph, call):
    """Return the call of the BatchNormalization that can be folded into a kernel's call.

    Args:
        graph: The graph of the call.
        call: A call of a layer with kernels.

    Returns:
        The call. `None` if an activation lies in between, the tensor has other readers, or one of
        the two layers is called elsewhere too.
    """
    layer_type = layer_types.find(call.operation)
    if layer_type is None or not layer_type.fuses_batch_norm:
        return None
    if activation_name(call.operation) not in (None, "linear"):
        return None
    value = call.output
    if len(value.consumers) != 1 or value in graph.flat_outputs:
        return None
    (reader,) = value.consumers
    norm = reader.operation
    if not isinstance(norm, keras.layers.BatchNormalization):
        return None
    calls = [other for other in graph.calls if other.operation in (call.operation, norm)]
    axis = norm.axis if isinstance(norm.axis, int) else norm.axis[0]
    on_channels = axis in (-1, len(value.shape) - 1)
    return reader if len(calls) == 2 and on_channels else None


def warn_unknown(calls):
    """Warn once about the layers that stay in float.

    Args:
        calls: Calls of these layers.
    """
    names = sorted({f"{call.name} ({_kind(call)})" for call in calls})
    if names:
        warnings.warn(
            f"No quantization is trained inside {len(names)} layer(s): {', '.join(names)}. They "
            "stay in float in training; conversion quantizes by calibration what TFLite computes "
            "in integers, so the file's accuracy may differ from the one seen in fit.",
            stacklevel=3,
        )


def _kind(call):
    """Return the type of a layer and the reason why no quantization is trained inside it."""
    kind, reason = type(call.operation).__name__, operations.of(call.operation).reason
    if attention.is_attention(call.operation):
        reason = attention.obstacle(call)
    elif isinstance(call.operation, keras.layers.LayerNormalization):
        reason = normalization.obstacle(call)
    elif call.obstacle is not None:
        reason = call.obstacle
    return kind if reason is None else f"{kind}: {reason}"


def _byte_range(call):
    """Return the range of what a call casts from bytes, `None` for another call."""
    if operations.of(call.operation).form != "cast":
        return None
    (source,) = call.inputs
    return BYTE_RANGES.get(source.dtype)


class _Planner:
    def __init__(self, graph):
        self.graph = graph
        self.outputs = set(graph.flat_outputs)
        self.ranges, self.folded, self.unknown = {}, {}, []
        # The value whose range each value has; None while its tensor is not yet stored in the file.
        self.governing = {}

    def give_range(self, value, **choice):
        if not value.dtype.startswith(("float", "bfloat")):
            self.governing[value] = None
            return
        rectified = value.producer is not None and is_fusable(value.producer.operation)
        self.ranges[value] = Range(**choice, non_negative=rectified)
        self.governing[value] = choice.get("tied_to") or value

    def visit(self, call):
        kind = role(call.operation)
        if kind is Role.KERNEL and (norm := foldable_batch_norm(self.graph, call)):
            self.folded[call] = norm
            self.governing[call.output] = None
        elif isinstance(call.operation, LstmSteps):
            # The state is on this grid too, so that no other one can replace it.
            self.give_range(call.output)
        elif kind is Role.LOOKUP:
            self.governing[call.output] = None
        elif kind in (Role.KERNEL, Role.FUSABLE):
            self._materialise(call.output, fused_relu=True)
        elif kind is Role.RELU:
            self._relu(call)
        elif kind is Role.PASS:
            self._pass(call)
        elif kind is Role.SAME_SCALE:
            self._tie(call)
        elif kind is Role.FIXED:
            self.give_range(call.output, fixed=FIXED_RANGES[activation_name(call.operation) or ""])
        elif (byte_range := _byte_range(call)) is not None:
            self.give_range(call.output, fixed=byte_range)
        else:
            if kind is Role.UNKNOWN and isinstance(call.operation, keras.layers.Layer):
                self.unknown.append(call)
            if operations.of(call.operation).form == "masks_scores":
                self.give_range(call.output, masked=True)
                return
            for value in call.outputs:
                self._materialise(value)

    def _materialise(self, value, fused_relu=False):
        """Give a tensor its own range, unless the file fuses it into the operator that reads it."""
        roles = {role(reader.operation) for reader in value.consumers}
        sole = len(value.consumers) == 1
        joined = roles == {Role.JOIN}
        if value not in self.outputs and (joined or fused_relu and sole and roles == {Role.RELU}):
            self.governing[value] = None
        else:
            self.give_range(value)

    def _relu(self, call):
        source = self._source(call)
        if source is None:
            self._materialise(call.output)
        elif activation_name(call.operation) == "relu6" or getattr(
            call.operation, "max_value", None
        ):
            self.give_range(call.output, tied_to=source)
        else:
            self.governing[call.output] = source

    def _pass(self, call):
        source = self._source(call)
        for value in call.outputs:
            self.governing[value] = source

    def _tie(self, call):
        source = self._source(call)
        if source is None:
            self.give_range(call.output)
        else:
            averages = operations.of(call.operation).form == "averages"
            self.give_range(call.output, tied_to=source, averages=averages)

    def _source(self, call):
        for value in call.inputs:
            if self.governing.get(value) is not None:
                return self.governing[value]
        return None
