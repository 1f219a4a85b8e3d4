"""The graph of a Keras model, read as calls and values.

Keras has no public way to walk the calls of a functional model. This is the only module that
reads its private fields (`_inbound_nodes` through `Node`, `_nodes_by_depth`, `_functional`,
`_inputs_struct`, `_outputs_struct`, `_flatten_layers`), as they are in Keras 3.9 to 3.15.
"""

import dataclasses
import inspect
from typing import Any

import keras

from keras_compress.errors import UnsupportedModelError
from keras_compress.graph import inner_graph, subclassed
from keras_compress.graph.function_nodes import function_nodes
from keras_compress.graph.implicit_masks import hides_steps
from keras_compress.graph.subclassed import computes_by_itself


@dataclasses.dataclass(eq=False)
class Value:
    """One tensor that flows through the graph.

    Args:
        shape: Symbolic shape; free dimensions (the batch) are `None`.
        dtype: Name of the data type.
        producer: The call that computes it; `None` for an input of the model.
        consumers: The calls that read it, one entry for each call.
    """

    shape: tuple
    dtype: str
    producer: "Call | None" = None
    consumers: list["Call"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Call:
    """One call of a layer or operation.

    Args:
        operation: The Keras layer or `keras.ops` operation.
        args: Positional arguments, with a `Value` in place of each tensor.
        kwargs: Keyword arguments, likewise.
        inputs: The values among the arguments, in order.
        outputs: Flat list of the values it computes.
        scope: Names of the nested models and layers around it, outermost first.
        block: Names of the layers made of layers around it, and of what is between them.
        obstacle: Why a layer made of layers was not looked into, or `None`.
    """

    operation: Any
    args: tuple
    kwargs: dict
    inputs: list[Value]
    outputs: list[Value] = dataclasses.field(default_factory=list)
    scope: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    obstacle: str | None = None

    @property
    def output(self):
        """The only output of the call."""
        (value,) = self.outputs
        return value

    @property
    def name(self):
        """The name of the layer or operation called."""
        return self.operation.name


@dataclasses.dataclass(eq=False)
class Graph:
    """The calls of a model in execution order, with nested models expanded.

    Args:
        name: The model's name.
        inputs: Input structure (a value, list or dict), with `Value` leaves.
        outputs: Output structure, likewise.
        calls: Calls in topological order.
        input_layers: The model's `InputLayer` of each flat input.
        output_names: The name that Keras has for each flat output: that of its last layer.
    """

    name: str
    inputs: Any
    outputs: Any
    calls: list[Call]
    input_layers: list[Any]
    output_names: list[str]

    @property
    def flat_inputs(self):
        """Input values as a list."""
        return keras.tree.flatten(self.inputs)

    @property
    def flat_outputs(self):
        """Output values as a list."""
        return keras.tree.flatten(self.outputs)


def trace(model):
    """Read the graph of a model and expand nested models.

    A user's layer made of layers is expanded too, if its `call` gives a graph that computes the
    same; `compress_inside = True` raises if it does not, `compress_inside = False` leaves the layer
    as it is. A nested model that was called with `training=False` passes that on to its layers, as
    in Keras.

    Args:
        model: A built `keras.Model`: Sequential, functional, or of a class whose `call` can be
            traced (`subclassed.functional`).

    Returns:
        The `Graph`. A layer that is called twice appears as two calls with the same operation.

    Raises:
        UnsupportedModelError: The model is not a Keras 3 model, is not built, or has a `call`
            that cannot be traced.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
        >>> [call.name for call in trace(model).calls]
        ['head']
    """
    functional = _functional(model)
    values: dict[int, Value] = {}
    inputs = keras.tree.map_structure(
        lambda tensor: _remember(values, tensor), functional._inputs_struct
    )
    calls: list[Call] = []
    _expand(functional, values, calls)
    outputs = keras.tree.map_structure(
        lambda tensor: values[id(tensor)], functional._outputs_struct
    )
    input_layers = [tensor._keras_history.operation for tensor in functional.inputs]
    names = list(functional.output_names)
    return Graph(model.name, inputs, outputs, calls, input_layers, names)


def insert_after(graph, value, operation, arguments=None):
    """Insert a call of an operation between a value and everything that reads it.

    Args:
        graph: A `Graph`, changed in place.
        value: One of its values.
        operation: A built layer or operation with one output of the value's shape and dtype.
        arguments: Values to call it with. Default: `[value]`.

    Returns:
        The new value, which consumers and outputs now read.
    """
    arguments = [value] if arguments is None else arguments
    result = Value(value.shape, value.dtype)
    scope = value.producer.scope if value.producer else ()
    first = arguments[0] if len(arguments) == 1 else arguments
    call = Call(operation, (first,), {}, list(arguments), [result], scope)
    result.producer = call
    readers = [reader for reader in value.consumers if reader not in _makers(arguments)]
    for reader in readers:
        _redirect(reader, value, result)
    result.consumers = readers
    value.consumers = [reader for reader in value.consumers if reader not in readers]
    for argument in arguments:
        argument.consumers.append(call)
    graph.outputs = keras.tree.map_structure(
        lambda leaf: result if leaf is value else leaf, graph.outputs
    )
    makers = [argument.producer for argument in arguments if argument.producer]
    position = max((graph.calls.index(maker) for maker in makers), default=-1)
    graph.calls.insert(position + 1, call)
    return result


def replace(graph, call, calls, result):
    """Replace a call with one output by other calls.

    Args:
        graph: A `Graph`, changed in place.
        call: One of its calls.
        calls: New calls in execution order, with producers and inputs set.
        result: The value computed by them that replaces the call's output.
    """
    for value in dict.fromkeys(call.inputs):
        value.consumers.remove(call)
    for new in calls:
        for value in dict.fromkeys(new.inputs):
            value.consumers.append(new)
    for reader in call.output.consumers:
        _redirect(reader, call.output, result)
    result.consumers += call.output.consumers
    graph.outputs = keras.tree.map_structure(
        lambda leaf: result if leaf is call.output else leaf, graph.outputs
    )
    position = graph.calls.index(call)
    graph.calls[position : position + 1] = calls


def _makers(values):
    return [value.producer for value in values if value.producer]


def _redirect(call, old, new):
    call.args, call.kwargs = keras.tree.map_structure(
        lambda leaf: new if leaf is old else leaf, (call.args, call.kwargs)
    )
    call.inputs = [new if value is old else value for value in call.inputs]


def all_layers(model):
    """List the layers of a model, including those of nested models and wrappers."""
    return list(model._flatten_layers(include_self=False))


def is_functional(layer):
    """Tell whether a layer is itself a model whose graph can be read."""
    return isinstance(layer, keras.Sequential) or hasattr(layer, "_nodes_by_depth")


def _functional(model):
    if not isinstance(model, keras.Model):
        raise UnsupportedModelError(_not_a_keras_model(model))
    if isinstance(model, keras.Sequential):
        model = model._functional if model.built else None
        if model is None:
            raise UnsupportedModelError(
                "The model is not built, so its shapes are unknown. Call model.build(input_shape), "
                "or begin it with keras.Input(shape)."
            )
    return model if _is_plain(model) else subclassed.functional(model)


def _is_plain(model):
    """Tell whether the graph of a model shows everything that the model computes."""
    return is_functional(model) and not computes_by_itself(model)


def _not_a_keras_model(model):
    message = (
        "The model must be a Sequential or functional model of Keras 3. "
        f"Received: {type(model).__module__}.{type(model).__qualname__}"
    )
    if type(model).__module__.startswith("tf_keras"):
        message += ". This is a Keras 2 model: convert it by kc.load_model(model)."
    return message


def _remember(values, tensor):
    value = values[id(tensor)] = Value(tuple(tensor.shape), tensor.dtype)
    return value


def _expand(functional, values, calls, scope=(), block=(), training=None):
    for node in function_nodes(functional):
        args, kwargs = node.arguments.convert(lambda leaf: values.get(id(leaf), leaf))
        operation = node.operation
        kwargs = _with_training(operation, kwargs, training)
        with inner_graph.temporary_nodes(operation):
            nested, obstacle = _nested(operation, args, kwargs)
            if nested is not None:
                inner = (*scope, operation.name), _inner_block(block, operation)
                _inline(nested, (args, kwargs), node, values, calls, *inner)
                continue
        flat = keras.tree.flatten((args, kwargs))
        inputs = [leaf for leaf in flat if isinstance(leaf, Value)]
        call = Call(operation, args, kwargs, inputs, scope=scope, block=block, obstacle=obstacle)
        for value in dict.fromkeys(inputs):
            value.consumers.append(call)
        for tensor in node.outputs:
            value = _remember(values, tensor)
            value.producer = call
            call.outputs.append(value)
        calls.append(call)


def _inner_block(block, operation):
    """Return the block of what is inside an operation; a plain nested model alone makes none."""
    is_model = is_functional(operation) and _is_plain(operation)
    return block if is_model and not block else (*block, operation.name)


def _with_training(operation, kwargs, training):
    """Pass the `training` argument of a nested model on to layers that were called without one."""
    if training is None or kwargs.get("training") is not None:
        return kwargs
    takes = isinstance(operation, keras.layers.Layer) and (
        is_functional(operation) or "training" in inspect.signature(operation.call).parameters
    )
    return {**kwargs, "training": training} if takes else kwargs


def _nested(operation, args, kwargs):
    """Return the graph that a call expands to and why it has none, `None` for an ordinary layer."""
    if is_functional(operation) and _is_plain(operation):
        functional = operation._functional if isinstance(operation, keras.Sequential) else operation
        return functional, None
    requested = getattr(operation, "compress_inside", None)
    if not requested and (requested is False or not inner_graph.is_made_of_layers(operation)):
        return None, None
    leaves = keras.tree.flatten((args, kwargs))
    obstacle = inner_graph.obstacle(operation)
    if any(isinstance(leaf, Value) and hides_steps(leaf) for leaf in leaves):
        obstacle = "Masking or mask_zero=True before it"
    try:
        if obstacle is not None and not requested:
            return None, obstacle
        symbolic = keras.tree.map_structure(_symbolic, (args, kwargs))
        return inner_graph.inner_function(operation, *symbolic), None
    except subclassed.NoGraphError as error:
        if requested:
            raise
        return None, error.reason


def _symbolic(leaf):
    if not isinstance(leaf, Value):
        return leaf
    return keras.Input(batch_shape=leaf.shape, dtype=leaf.dtype)


def _inline(functional, arguments, node, values, calls, scope, block):
    outer = [leaf for leaf in keras.tree.flatten(arguments) if isinstance(leaf, Value)]
    inner = dict(zip((id(tensor) for tensor in functional.inputs), outer, strict=True))
    _expand(functional, inner, calls, scope, block, arguments[1].get("training"))
    for tensor, result in zip(node.outputs, functional.outputs, strict=True):
        values[id(tensor)] = inner[id(result)]
