"""Run the calls of a graph again, on arrays or tensors, or to build a new model."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from keras_compress.graph.graph import Call, Graph, Value


def arguments(call: Call, values: Mapping[Value, Any]) -> tuple[tuple, dict]:
    """Return the arguments of a call, with arrays or tensors in place of its values.

    Args:
        call: A `Call`.
        values: The array or tensor for each of its inputs.

    Returns:
        Tuple (positional arguments, keyword arguments).
    """
    return keras.tree.map_structure(
        lambda leaf: values[leaf] if isinstance(leaf, Value) else leaf, (call.args, call.kwargs)
    )


def run_operation(call: Call, args: tuple, kwargs: dict) -> Any:
    """Run the operation of a call: `call.operation(*args, **kwargs)`."""
    return call.operation(*args, **kwargs)


def replay(
    graph: Graph,
    inputs: Iterable[Any],
    run: Callable[[Call, tuple, dict], Any] = run_operation,
) -> dict[Value, Any]:
    """Run the calls of a graph in order.

    Args:
        graph: A `Graph`.
        inputs: An array or tensor for each of its flat inputs.
        run: `run(call, args, kwargs) -> outputs`, called for each call. Default: its operation.

    Returns:
        Dict from each value of the graph to its array or tensor.

    Example:
        >>> from keras_compress.graph.graph import trace
        >>> graph = trace(keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]))
        >>> values = replay(graph, [keras.ops.array([[-1.0, 3.0]])])
        >>> keras.ops.convert_to_numpy(values[graph.flat_outputs[0]]).tolist()
        [[0.0, 3.0]]
    """
    values = dict(zip(graph.flat_inputs, inputs, strict=True))
    for call in graph.calls:
        outputs = keras.tree.flatten(run(call, *arguments(call, values)))
        values.update(zip(call.outputs, outputs, strict=True))
    return values


def rebuild(
    graph: Graph,
    apply: Callable,
    name: str | None = None,
    batch_size: int | None = None,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
) -> keras.Model:
    """Build a functional model by replaying a graph.

    Args:
        graph: A `Graph`.
        apply: `apply(call, args, kwargs) -> outputs`, called for each call in order with the
            new tensors in place of values. It is also called with each input, as
            `apply(value, (tensor,), {}) -> tensor`.
        name: Name of the new model. Default: the name of the graph.
        batch_size: Fixed batch size of the new inputs; `None` leaves the batch free.
        inputs: Name of an input -> arguments of `keras.Input` that it has instead.

    Returns:
        A `keras.Model` with the graph's input and output structure.
    """
    new_inputs, tensors = [], []
    for value, layer in zip(graph.flat_inputs, graph.input_layers, strict=True):
        changes = (inputs or {}).get(layer.name, {})
        new_inputs.append(_new_input(layer, value, batch_size, changes))
        tensors.append(apply(value, (new_inputs[-1],), {}))
    values = replay(graph, tensors, apply)
    new_inputs = keras.tree.pack_sequence_as(graph.inputs, new_inputs)
    outputs = keras.tree.map_structure(lambda value: values[value], graph.outputs)
    return keras.Model(new_inputs, outputs, name=name or graph.name)


def _new_input(layer, value, batch_size, changes):
    own = {"shape": value.shape[1:], "dtype": value.dtype} | dict(changes)
    return keras.Input(batch_size=batch_size or value.shape[0], name=layer.name, **own)
