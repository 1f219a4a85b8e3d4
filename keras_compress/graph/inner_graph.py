"""Look into a layer made of layers: the graph of its `call`, checked against the layer itself."""

import contextlib
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.function_nodes import function_nodes
from keras_compress.graph.live_copy import is_custom
from keras_compress.graph.subclassed import NoGraphError, computes_by_itself, traced
from keras_compress.graph.watched_call import WatchedCall

# Sizes of made-up inputs where the model leaves them free: the batch, and all others.
_BATCH, _SIZE = 2, 8
# The same operations in the same order differ by rounding alone.
_TOLERANCE = 1e-4

# Layer -> the calls for which its graph was found to compute what the layer computes.
_tried: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def is_made_of_layers(layer: Any) -> bool:
    """Tell whether a layer of a user's class has layers inside and no kernels that it names.

    Args:
        layer: A Keras layer or operation.
    """
    return (
        isinstance(layer, keras.layers.Layer)
        and is_custom(layer)
        and computes_by_itself(layer)
        and getattr(layer, "compressed_weights", None) is None
        and len(_parts(layer)) > 0
    )


def obstacle(layer: Any) -> str | None:
    """Return why the parts of a layer would not do what the layer does, or `None`.

    Args:
        layer: A layer made of layers.
    """
    if layer.activity_regularizer is not None:
        return "it has an activity_regularizer"
    if not layer.trainable and any(part.trainable for part in _parts(layer)):
        return "it is frozen and the layers inside are not"
    if any(_makes_masks(part) for part in _parts(layer)):
        return "Masking or mask_zero=True inside it"
    return None


def inner_function(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> keras.Function:
    """Return the graph of a layer's call.

    `call` runs on symbolic tensors, and the graph and the layer on the same made-up numbers, once
    for each layer and shape of its inputs.

    Args:
        layer: A built layer.
        args: Positional arguments of its call, with `keras.Input`s for tensors.
        kwargs: Keyword arguments, likewise.

    Returns:
        A `keras.Function` from the flat list of these tensors to the flat list of outputs.

    Raises:
        NoGraphError: The call has no graph, or its graph computes something else.
    """
    outputs = traced(layer, args, kwargs)
    inputs = [leaf for leaf in keras.tree.flatten((args, kwargs)) if _is_symbolic(leaf)]
    function = _with_free_batch(keras.Function(inputs, keras.tree.flatten(outputs)))
    call = repr((keras.tree.map_structure(_signature, (args, kwargs)), len(layer.weights)))
    if call not in _tried.get(layer, ()):
        _try(layer, function, args, kwargs)
        _tried.setdefault(layer, set()).add(call)
    return function


@contextlib.contextmanager
def temporary_nodes(layer: Any) -> Iterator[None]:
    """Forget the calls of the layers inside a layer that are traced within the context.

    Args:
        layer: A Keras layer.
    """
    nodes = [(part._inbound_nodes, part._outbound_nodes) for part in (layer, *_parts(layer))]
    lengths = [tuple(map(len, lists)) for lists in nodes]
    try:
        yield
    finally:
        for lists, kept in zip(nodes, lengths, strict=True):
            for known, length in zip(lists, kept, strict=True):
                del known[length:]


def _parts(layer):
    is_layer = isinstance(layer, keras.layers.Layer)
    return list(layer._flatten_layers(include_self=False)) if is_layer else []


def _makes_masks(part):
    return isinstance(part, keras.layers.Masking) or bool(getattr(part, "mask_zero", False))


def _is_symbolic(leaf):
    return isinstance(leaf, keras.KerasTensor)


def _signature(leaf):
    return (leaf.shape, leaf.dtype) if _is_symbolic(leaf) else leaf


def _with_free_batch(function):
    """Let reshapes to `ops.shape(x)[0]`, which is `None` in a graph, keep the batch free."""
    nodes = list(function_nodes(function))
    if not any(None in _target(node) for node in nodes):
        return function
    tensors = {
        id(old): keras.Input(batch_shape=old.shape, dtype=old.dtype) for old in function.inputs
    }
    inputs = list(tensors.values())
    for node in nodes:
        args, kwargs = node.arguments.convert(lambda leaf: tensors.get(id(leaf), leaf))
        if None in (target := _target(node)):
            outputs = keras.ops.reshape(args[0], _fixed(target, args[0].shape))
        else:
            outputs = node.operation(*args, **kwargs)
        for old, new in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            tensors[id(old)] = new
    return keras.Function(inputs, [tensors[id(old)] for old in function.outputs])


def _target(node):
    """Return the shape that a node reshapes to; nothing for other operations."""
    is_layer = isinstance(node.operation, keras.layers.Layer)
    shape = None if is_layer else getattr(node.operation, "newshape", None)
    return tuple(shape) if isinstance(shape, tuple | list) else ()


def _fixed(target, shape):
    if target.count(None) > 1 or shape.count(None) != 1:
        raise NoGraphError(
            "it reshapes to sizes that are free here", "A reshape has several free sizes."
        )
    known = math.prod(size for size in target if size not in (None, -1))
    rest = math.prod(size for size in shape if size is not None) // known
    return tuple({None: -1, -1: rest}.get(size, size) for size in target)


def _try(layer, function, args, kwargs):
    """Compare the layer and its graph on made-up numbers."""
    generator = np.random.default_rng(0)
    leaves = keras.tree.flatten((args, kwargs))
    made = [_made_up(leaf, generator) if _is_symbolic(leaf) else leaf for leaf in leaves]
    own_args, own_kwargs = keras.tree.pack_sequence_as((args, kwargs), made)
    arrays = [array for array, leaf in zip(made, leaves, strict=True) if _is_symbolic(leaf)]
    with WatchedCall() as watched:
        try:
            expected = keras.tree.flatten(layer(*own_args, **own_kwargs))
            results = keras.tree.flatten(function(arrays))
        except Exception as error:  # Whatever the user's code raises.
            reason = " ".join(str(error).split())[:100]
            raise NoGraphError(
                "it fails on made-up inputs",
                f"{type(layer).__name__} cannot be tried on made-up inputs: {reason}",
            ) from error
    if watched.changed:
        raise NoGraphError("its call changes weights", f"{watched.changed[0]} is assigned in call")
    if not all(_are_close(*pair) for pair in zip(results, expected, strict=True)):
        raise NoGraphError(
            "its graph computes something else",
            f"The call of {type(layer).__name__} depends on more than a graph can say.",
        )


def _made_up(tensor, generator):
    sizes = [_BATCH if axis == 0 else _SIZE for axis in range(len(tensor.shape))]
    shape = [size or made for size, made in zip(tensor.shape, sizes, strict=True)]
    if keras.backend.is_float_dtype(tensor.dtype):
        return keras.ops.cast(generator.normal(size=shape), tensor.dtype)
    return keras.ops.cast(generator.integers(0, 2, shape), tensor.dtype)


def _are_close(result, expected):
    one, other = (
        np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
        for tensor in (result, expected)
    )
    scale = np.abs(other, where=np.isfinite(other), out=np.zeros_like(other)).max(initial=0.0)
    return one.shape == other.shape and np.allclose(
        one, other, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True
    )
