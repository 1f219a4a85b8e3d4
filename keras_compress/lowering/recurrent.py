"""Split LSTMs into parts, so that their kernels and tensors can be compressed.

    LSTM -> StepSelection (go_backwards), LstmSteps, StepSelection (the last step)
    Bidirectional -> both of these, DirectionMerge

`kc.strip` restores the layer.
"""

import functools

import keras

from keras_compress.graph.graph import Call, Graph
from keras_compress.graph.implicit_masks import hides_steps
from keras_compress.lowering.call_replacement import CallReplacement
from keras_compress.lowering.recurrent_layers import (
    GATE_NAMES,
    DirectionMerge,
    LstmSteps,
    StepSelection,
    kernel_names,
)

RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
# What stands in the way of one operator and has a way out of its own.
STATEFUL = "stateful=True"
HIDDEN_STEPS = "Masking or Embedding(mask_zero=True) hides steps from it"
_MERGES = ("concat", "sum", "mul")
_SUMS = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)
_REGULARIZED = ("kernel", "recurrent", "bias")


def directions(layer: keras.layers.Layer) -> tuple[keras.layers.RNN, ...]:
    """Return the recurrent layers of a layer: itself, or both directions of a Bidirectional."""
    if isinstance(layer, keras.layers.Bidirectional):
        return layer.forward_layer, layer.backward_layer
    return (layer,)


def obstacle(call: Call) -> str | None:
    """Return why a recurrent layer cannot be one operator for each direction.

    Args:
        call: A call of an `RNN` or a `Bidirectional`.

    Returns:
        What stands in the way, `None` if nothing does.
    """
    reasons = (_of_layer(layer) for layer in directions(call.operation))
    return next(filter(None, (*reasons, _of_call(call))), None)


def _of_layer(layer) -> str | None:
    if type(layer) not in (keras.layers.LSTM, keras.layers.RNN):
        return f"TFLite has no operator for a {type(layer).__name__}"
    if type(layer.cell) is not keras.layers.LSTMCell:
        return f"TFLite has no operator for a {type(layer.cell).__name__}"
    for field, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        name = getattr(getattr(layer.cell, field), "__name__", "another")
        if name != expected:
            return f"{field}={name!r} where the operator computes {expected}"
    if layer.stateful:
        return STATEFUL
    return "return_state=True" if layer.return_state else None


def _of_call(call) -> str | None:
    if hides_steps(call.inputs[0]):
        return HIDDEN_STEPS
    return "a mask or an initial state is passed to it" if len(call.inputs) > 1 else None


def training_obstacle(call: Call) -> str | None:
    """Return why quantization cannot be trained inside a recurrent layer.

    Args:
        call: A call of an `RNN` or a `Bidirectional`.

    Returns:
        What stands in the way, `None` if nothing does.
    """
    layer = call.operation
    if (reason := obstacle(call)) is not None:
        return reason
    if type(layer) not in (*RECURRENT, keras.layers.LSTM):
        return f"a {type(layer).__name__} may compute something else than its parent class"
    if isinstance(layer, keras.layers.Bidirectional) and layer.merge_mode not in _MERGES:
        return f"merge_mode={layer.merge_mode!r}"
    reasons = (_of_training(part, part.cell) for part in directions(layer))
    whole = "it has an activity_regularizer" if layer.activity_regularizer else None
    return next(filter(None, (whole, *reasons)), None)


def _of_training(layer, cell) -> str | None:
    if layer.activity_regularizer:
        return "it has an activity_regularizer"
    if any(getattr(cell, f"{name}_constraint") for name in _REGULARIZED):
        return "its weights have constraints"
    regularizers = (getattr(cell, f"{name}_regularizer") for name in _REGULARIZED)
    if any(r is not None and type(r) not in _SUMS for r in regularizers):
        return "a regularizer of its kernels is not L1 or L2, which can be summed over gates"
    return None


def split_recurrent(graph: Graph) -> dict[keras.layers.Layer, list[str]]:
    """Split the LSTMs of a graph, in place.

    Args:
        graph: A traced `Graph`.

    Returns:
        Dict from each layer that was split to the names of its parts with kernels.
    """
    made: dict[tuple[keras.Operation, str], keras.Layer] = {}
    parts = {}
    for call in list(graph.calls):
        layer = call.operation
        if isinstance(layer, RECURRENT) and training_obstacle(call) is None:
            _split(graph, call, made)
            both = isinstance(layer, keras.layers.Bidirectional)
            suffixes = ("_forward", "_backward") if both else ("",)
            parts[layer] = [f"{layer.name}{suffix}" for suffix in suffixes]
    return parts


def _split(graph, call, made):
    layer, replacement = call.operation, CallReplacement(call, made)
    source = call.inputs[0]
    if not isinstance(layer, keras.layers.Bidirectional):
        replacement.replace(graph, _direction(replacement, layer, source))
        return
    both = (
        _direction(replacement, part, source, name)
        for part, name in zip(directions(layer), ("forward", "backward"), strict=True)
    )
    merge = functools.partial(
        DirectionMerge, layer.merge_mode, _original(layer), dtype=layer.dtype_policy
    )
    merged = replacement.layer("merged", lambda name: merge(name=name))
    replacement.replace(graph, replacement.add(merged, list(both)))


def _direction(replacement, layer, source, direction=None):
    """Add the calls of one LSTM, and return the value of its outputs."""
    prefix = f"{direction}_" if direction else ""

    def selected(steps, name, value):
        make = functools.partial(StepSelection, steps, dtype=layer.dtype_policy)
        return replacement.add(replacement.layer(prefix + name, lambda n: make(name=n)), value)

    if layer.go_backwards:
        source = selected("reversed", "reversed", source)
    steps = replacement.layer(direction, lambda name: _steps(layer, source, direction, name))
    outputs = replacement.add(steps, source)
    if not layer.return_sequences:
        return selected("last", "last", outputs)
    # A Bidirectional hands on what its layer for the way back gives in the order of the inputs.
    return selected("reversed", "ordered", outputs) if direction == "backward" else outputs


def _steps(layer, source, direction, name):
    """Return a built `LstmSteps` with the weights of an LSTM."""
    cell = layer.cell
    regularizers = {
        f"{field}_regularizer": getattr(cell, f"{field}_regularizer") for field in _REGULARIZED
    }
    steps = LstmSteps(
        cell.units,
        _original(layer),
        direction,
        use_bias=cell.use_bias,
        dropout=cell.dropout,
        recurrent_dropout=cell.recurrent_dropout,
        seed=cell.seed,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=name,
        **regularizers,
    )
    steps.build(source.shape)
    steps.set_weights(_by_gate(*cell.get_weights()))
    return steps


def _original(layer):
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


def _by_gate(kernel, recurrent_kernel, *bias):
    """Cut the kernels of an LSTM into those of its gates, in the order of an `LstmSteps`."""
    count = len(GATE_NAMES)
    gates = (
        array[:, i * array.shape[1] // count : (i + 1) * array.shape[1] // count]
        for array in (kernel, recurrent_kernel)
        for i in range(count)
    )
    return [*gates, *bias]


def whole_weights(arrays: list) -> list:
    """Join the kernels of gates: the weights of an LSTM from those of an `LstmSteps`.

    Args:
        arrays: Its weights: the kernels, the recurrent kernels, and the bias if it has one.

    Returns:
        Kernel (features, 4 units), recurrent kernel (units, 4 units) and the bias.
    """
    count = len(kernel_names("kernel"))
    joined = [
        keras.ops.convert_to_numpy(keras.ops.concatenate(arrays[start : start + count], axis=1))
        for start in (0, count)
    ]
    return [*joined, *arrays[2 * count :]]
