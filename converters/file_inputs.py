"""The inputs of a file: their shapes, and casts that become the input's type."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from keras_compress.converters.deployment import FixedQuantizer
from keras_compress.converters.options import Mode
from keras_compress.data.representative_dataset import RepresentativeDataset
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.graph.graph import Value, trace
from keras_compress.graph.replay import rebuild
from keras_compress.layers import operations
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import BYTE_RANGES
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.copies import LayerCopies

# Sizes of one sample, by the name of the input, or of the only input.
InputShapes = Sequence[int] | Mapping[str, Sequence[int]]

# Forms of operations that turn whole numbers into real ones.
_CASTS = ("cast", "scaling", "normalization")


def with_shapes(model: keras.Model, input_shapes: InputShapes | None) -> keras.Model:
    """Give the inputs of a model the shapes of the file.

    Args:
        model: A built Sequential or functional model, plain or compressed.
        input_shapes: Sizes of one sample, without the batch, for the only input, or a dict of them
            by the names of inputs. `None` leaves the model as it is.

    Returns:
        A copy of the model with these input shapes, or `model`.

    Raises:
        InvalidArgumentError: A shape does not fit the model's, or a layer cannot take it.
        UnknownNameError: A name is not that of an input.

    Example:
        >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.GlobalMaxPooling1D()])
        >>> with_shapes(model, (12, 3)).input_shape
        (None, 12, 3)
    """
    if input_shapes is None:
        return model
    graph = trace(model)
    free = {
        layer.name: tuple(value.shape[1:])
        for value, layer in zip(graph.flat_inputs, graph.input_layers, strict=True)
    }
    shapes = _by_name(input_shapes, free)
    for name, shape in shapes.items():
        _check(name, shape, free)
    try:
        return _rebuilt(graph, {name: {"shape": shape} for name, shape in shapes.items()})
    except (ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise InvalidArgumentError(
            f"input_shapes must be sizes that every layer can take: {reason} "
            f"Received: {input_shapes!r}"
        ) from error


@dataclasses.dataclass(frozen=True)
class MeltedCasts:
    """A model whose integer inputs are taken as they are.

    Args:
        model: It takes these inputs in float; the model that was given, if there are none.
        ranges: Name of such an input -> (smallest, largest) number of its type.
        input_type: The type of all inputs of the original model, if an int8 file can have it.
    """

    model: keras.Model
    ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    input_type: str | None = None


def melt_casts(model: keras.Model, mode: Mode) -> MeltedCasts:
    """Let a quantized file take integer inputs as they are, where the model only casts them.

    A camera gives bytes, and a model whose `keras.Input` has the type `uint8` begins with a cast
    to float. TFLite has no integer kernel for CAST, and needs none: the same bytes are the
    integers of a quantized input with scale 1.

    Args:
        model: A built Sequential or functional model, plain or compressed; it is not changed.
        mode: The `Mode` of the file.

    Returns:
        A `MeltedCasts`.
    """
    graph = trace(model)
    melted = {
        layer.name: value.dtype
        for value, layer in zip(graph.flat_inputs, graph.input_layers, strict=True)
        if value.dtype in BYTE_RANGES and _is_only_cast(value, graph.flat_outputs)
    }
    if not melted or mode not in (Mode.INT8, Mode.INT16X8):
        return MeltedCasts(model)
    ranges = {name: BYTE_RANGES[kind] for name, kind in melted.items()}
    learned = any(isinstance(call.operation, ActivationQuantizer) for call in graph.calls)
    model = _rebuilt(
        graph,
        {name: {"dtype": "float32"} for name in melted},
        ranges if learned and mode is Mode.INT8 else {},
    )
    kinds = {value.dtype for value in graph.flat_inputs}
    common = len(kinds) == 1 and len(melted) == len(graph.flat_inputs) and mode is Mode.INT8
    return MeltedCasts(model, ranges, kinds.pop() if common else None)


def with_whole_ranges(
    calibration: RepresentativeDataset, ranges: Mapping[str, tuple[float, float]]
) -> RepresentativeDataset:
    """Let samples reach both ends of the inputs' ranges, so that calibration finds scale 1.

    Args:
        calibration: Samples; they are not changed.
        ranges: Name of an input -> (smallest, largest) value of its type.

    Returns:
        The samples, with the first number of the first one and the last number of the last one at
        the ends of the range.
    """
    arrays = dict(calibration.arrays)
    for name, ends in ranges.items():
        arrays[name] = arrays[name].copy()
        arrays[name].flat[[0, -1]] = ends
    return dataclasses.replace(calibration, arrays=arrays)


def _is_only_cast(value, outputs):
    """Tell whether all that is computed from whole numbers begins with a cast to real ones."""
    if value in outputs or not value.consumers:
        return False
    return all(_casts(call, outputs) for call in value.consumers)


def _casts(call, outputs):
    row = operations.of(call.operation)
    if row.form in _CASTS:
        return call.output.dtype == "float32"
    selects = row.role is Role.PASS and len(call.inputs) == len(call.outputs) == 1
    return selects and _is_only_cast(call.output, outputs)


def _rebuilt(graph, inputs, ranges=None):
    """Copy a model with other inputs, put on the grids of the given ranges."""
    copies = LayerCopies(reserved={call.name for call in graph.calls})
    names = dict(zip(graph.flat_inputs, (layer.name for layer in graph.input_layers), strict=True))

    def apply(call, args, kwargs):
        if not isinstance(call, Value):
            return copies.plain(call.operation)(*args, **kwargs)
        name = names[call]
        if name not in (ranges or {}):
            return args[0]
        return FixedQuantizer(*ranges[name], name=copies.free_name(f"{name}_range"))(args[0])

    model = rebuild(graph, apply, inputs=inputs)
    copies.copy_weights()
    return model


def _by_name(input_shapes, free):
    if isinstance(input_shapes, Mapping):
        for name in set(input_shapes) - set(free):
            raise UnknownNameError("input", name, free)
        return {name: tuple(shape) for name, shape in input_shapes.items()}
    if len(free) != 1:
        raise InvalidArgumentError(
            "input_shapes must be a dict {name of the input: shape} for a model of several "
            f"inputs ({', '.join(map(repr, free))}). Received: {input_shapes!r}"
        )
    return dict.fromkeys(free, tuple(input_shapes))


def _check(name, shape, free):
    expected = free[name]
    whole = all(isinstance(size, int) and size > 0 for size in shape)
    pairs = zip(shape, expected, strict=False)
    fits = len(shape) == len(expected) and all(own in (None, size) for size, own in pairs)
    if not (whole and fits):
        raise InvalidArgumentError(
            f"input_shapes must give whole numbers above 0 for the free sizes (None) of a sample "
            f"and keep the others: input {name!r} has the shape {expected}. Received: {shape}"
        )
