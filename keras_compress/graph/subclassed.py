"""Trace the graph of a model or layer whose `call` is the user's code."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_compress.errors import UnsupportedModelError
from keras_compress.graph.function_nodes import function_nodes
from keras_compress.graph.watched_call import WatchedCall

_WAY_OUT = (
    "Or write it as a functional model, keras.Model(inputs, outputs), or wrap its layers before "
    "they are built."
)


class NoGraphError(UnsupportedModelError):
    """A `call` gives no graph.

    Args:
        reason: Why, in a few words about the layer.
        message: The whole message.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def computes_by_itself(model: Any) -> bool:
    """Tell whether a user's class defines `call`, so that its functional graph is incomplete.

    Args:
        model: A Keras model or layer.
    """
    definer = next(parent for parent in type(model).__mro__ if "call" in vars(parent))
    return definer.__module__.split(".")[0] != "keras"


def functional(
    model: keras.Layer, inputs: keras.KerasTensor | Sequence | Mapping | None = None
) -> keras.Model:
    """Return a functional model that shares the layers of one whose `call` is its own code.

    `call` runs on `keras.Input`s, once in inference mode and once in training mode. The Keras
    layers and `keras.ops` that it uses become the graph.

    Args:
        model: A built model or layer with its own `call`, whose weights all belong to layers.
        inputs: `keras.Input`s in the structure that `call` takes. Default: float32 of the shapes
            that the model was built with, with a free batch size.

    Returns:
        A functional `keras.Model`. Its layers are those of `model`: training one trains the other.

    Raises:
        UnsupportedModelError: The model is not built; `call` fails on `keras.Input`s (as
            TensorFlow functions and Python conditions on values do), does something different in
            training than in inference, or reads weights that belong to no layer. The message
            names the reason and the remedy.

    Example:
        >>> class Classifier(keras.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.head = keras.layers.Dense(4, name="head")
        ...     def call(self, inputs):
        ...         return self.head(inputs)
        >>> [layer.name for layer in functional(Classifier(), keras.Input((8,))).layers][1:]
        ['head']
    """
    inputs = _inputs_as_built(model) if inputs is None else inputs
    outputs = traced(model, (inputs,), {})
    return keras.Model(inputs, outputs, name=model.name)


def as_one_layer(model: keras.Model) -> keras.Model:
    """Return a functional model in which a subclassed model is the only layer.

    Args:
        model: A built model with its own `call`.

    Raises:
        UnsupportedModelError: The shapes of its inputs are unknown.
    """
    inputs = _inputs_as_built(model)
    return keras.Model(inputs, model(inputs), name=model.name)


def traced(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run the `call` of a model or layer on symbolic tensors, and check that its graph is complete.

    Args:
        layer: A built model or layer.
        args: Positional arguments, with `keras.Input`s for tensors.
        kwargs: Keyword arguments, likewise.

    Returns:
        The outputs, whose history is the graph.

    Raises:
        NoGraphError: As for `functional`.
    """
    outputs = _called(layer, args, kwargs)
    _check_outputs(layer, outputs)
    _check_weights(layer, (args, kwargs), outputs)
    _check_training(layer, args, kwargs, outputs)
    return outputs


def _inputs_as_built(model):
    if getattr(model, "inputs", None):  # A functional model whose class overrides `call`.
        return keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype), model.input
        )
    config = (model.get_build_config() if model.built else None) or {}
    shapes = config.get("input_shape") or config.get("shapes_dict")
    if not shapes:
        raise UnsupportedModelError(
            "The subclassed model is not built, so the shapes of its inputs are unknown. Call it "
            "once on a batch, model(x[:1]), before you compress or convert it. "
            f"Received: {type(model).__name__}"
        )
    if isinstance(shapes, dict) and len(shapes) > 1 and "shapes_dict" in config:
        raise UnsupportedModelError(
            f"The call of {type(model).__name__} takes several arguments. Let it take one list or "
            f"dict of inputs. Received: call({', '.join(shapes)})"
        )
    if "shapes_dict" in config:
        (shapes,) = shapes.values()
    return _map_shapes(shapes)


def _map_shapes(shapes, name=None):
    if isinstance(shapes, dict):
        return {key: _map_shapes(shape, key) for key, shape in shapes.items()}
    if shapes and isinstance(shapes[0], list | tuple):
        return [_map_shapes(shape) for shape in shapes]
    return keras.Input(tuple(shapes[1:]), name=name)


def _called(layer, args, kwargs):
    with WatchedCall() as watched:
        try:
            outputs = layer.call(*args, **kwargs)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise NoGraphError(
                "its call cannot be traced",
                f"The call of {type(layer).__name__} cannot be traced: on a keras.Input it raises "
                f"{type(error).__name__}: {reason[:200]}. Use only Keras layers and keras.ops in "
                f"it. {_WAY_OUT} Received: a subclassed model",
            ) from error
    if watched.paths:
        raise NoGraphError(
            "its call reads or changes weights",
            f"The call of {type(layer).__name__} reads or changes {len(watched.paths)} weights "
            "itself, which a graph would keep as constants. Let a layer do that, which it calls. "
            f"{_WAY_OUT} Received: {', '.join(watched.paths[:3])}",
        )
    return outputs


def _check_outputs(layer, outputs):
    others = [out for out in keras.tree.flatten(outputs) if not isinstance(out, keras.KerasTensor)]
    if others:
        raise NoGraphError(
            "it returns more than tensors of its graph",
            f"The call of {type(layer).__name__} must return tensors that depend on its inputs. "
            f"{_WAY_OUT} Received: an output of type {type(others[0]).__name__}",
        )


def _check_training(layer, args, kwargs, outputs):
    """Refuse a `call` that does something different in training: a graph has only one path."""
    if "training" not in inspect.signature(layer.call).parameters:
        return
    if kwargs.get("training") is not None:
        return
    inputs = _symbolic((args, kwargs))
    trained = _called(layer, args, {**kwargs, "training": True})
    same = keras.tree.flatten(trained)
    if _operations(inputs, outputs) != _operations(inputs, same):
        raise NoGraphError(
            "its call differs between training and inference",
            f"The call of {type(layer).__name__} differs between training and inference, which a "
            "graph cannot express. Move that part into a separate layer or into train_step. "
            f"{_WAY_OUT} Received: a subclassed model",
        )


def _operations(inputs, outputs):
    """Describe the operations between inputs and outputs, sorted: a layer, or a type, and settings.

    A `training=None` that is passed on is the same as `training=True` in training.
    """
    graph = keras.Function(inputs, keras.tree.flatten(outputs))
    return sorted(
        repr((_description(node.operation), _settings(node))) for node in function_nodes(graph)
    )


def _description(operation):
    if isinstance(operation, keras.layers.Layer):
        return operation.name
    own = {key: value for key, value in vars(operation).items() if key[0] != "_" and key != "name"}
    return type(operation).__name__, own


def _settings(node):
    """Return the arguments of a call that are no tensors."""
    kwargs = dict(node.arguments.kwargs)
    if kwargs.get("training") in (None, True):
        kwargs.pop("training", None)
    leaves = keras.tree.flatten((node.arguments.args, kwargs))
    return [leaf for leaf in leaves if not isinstance(leaf, keras.KerasTensor)]


def _symbolic(arguments):
    leaves = keras.tree.flatten(arguments)
    return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


def _check_weights(layer, arguments, outputs):
    """Refuse weights that belong to no layer of the graph, and those that an operation reads."""
    graph = keras.Function(_symbolic(arguments), keras.tree.flatten(outputs))
    in_graph = {
        id(weight)
        for operation in graph.operations
        if isinstance(operation, keras.layers.Layer)
        for weight in operation.weights
    }
    own = [weight.path for weight in layer.weights if id(weight) not in in_graph]
    own = [path for path in own if "seed_generator" not in path]
    read = [leaf.path for leaf in _constants(graph) if isinstance(leaf, keras.Variable)]
    if own or read:
        raise NoGraphError(
            "it has weights of its own",
            f"{len(own or read)} weights of {type(layer).__name__} belong to no layer that it "
            "calls. Move each into a layer, and remove layers that are not called. "
            f"{_WAY_OUT} Received: {', '.join((own or read)[:3])}",
        )


def _constants(graph):
    """Yield the arguments of the operations of a graph that are no symbolic tensors."""
    for node in function_nodes(graph):
        yield from keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
