"""Trace the graph of a model or layer whose `call` is the user's code."""

import inspect
from collections.abc import Mapping, Sequence

import keras

from keras_compress.errors import UnsupportedModelError

_WAY_OUT = (
    "Or write it as a functional model, keras.Model(inputs, outputs), or wrap its layers before "
    "they are built."
)


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
    outputs = _called(model, inputs)
    _check_training(model, inputs, outputs)
    traced = keras.Model(inputs, outputs, name=model.name)
    _check_weights(model, traced)
    return traced


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


def _called(model, inputs, **kwargs):
    try:
        return model.call(inputs, **kwargs)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnsupportedModelError(
            f"The call of {type(model).__name__} cannot be traced: on a keras.Input it raises "
            f"{type(error).__name__}: {reason}. Use only Keras layers and keras.ops in it. "
            f"{_WAY_OUT} Received: a subclassed model"
        ) from error


def _check_training(model, inputs, outputs):
    """Refuse a `call` that does something different in training: a graph has only one path."""
    if "training" not in inspect.signature(model.call).parameters:
        return
    trained = _called(model, inputs, training=True)
    if _operations(inputs, outputs) != _operations(inputs, trained):
        raise UnsupportedModelError(
            f"The call of {type(model).__name__} differs between training and inference, which a "
            "graph cannot express. Move that part into a separate layer or into train_step. "
            f"{_WAY_OUT} Received: a subclassed model"
        )


def _operations(inputs, outputs):
    """List the operations between inputs and outputs: layers by name, others by type."""
    names = [
        operation.name if isinstance(operation, keras.layers.Layer) else type(operation).__name__
        for operation in keras.Model(inputs, outputs).operations
    ]
    return sorted(names)


def _check_weights(model, traced):
    in_graph = {id(weight) for weight in traced.weights}
    own = [weight.path for weight in model.weights if id(weight) not in in_graph]
    own = [path for path in own if "seed_generator" not in path]
    if own:
        raise UnsupportedModelError(
            f"{len(own)} weights of {type(model).__name__} belong to no layer that it calls. Move "
            "each into a layer, and remove layers that are not called. "
            f"{_WAY_OUT} Received: {', '.join(own[:3])}"
        )
