"""The graph of a model or layer whose `call` is the user's own code, found by calling it."""

import inspect
from collections.abc import Mapping, Sequence

import keras

from keras_compress.errors import UnsupportedModelError

_WAY_OUT = (
    "Write it as a functional model, keras.Model(inputs, outputs), or wrap its layers before they "
    "are built."
)


def functional(
    model: keras.Layer, inputs: keras.KerasTensor | Sequence | Mapping | None = None
) -> keras.Model:
    """Return a functional model that shares the layers of one whose `call` is its own code.

    `call` runs on `keras.Input`s, once as in inference and once as in training. What it does with
    Keras layers and `keras.ops` becomes the graph.

    Args:
        model: A built model or layer with a `call` of its own; its weights lie in its layers.
        inputs: `keras.Input`s in the structure that `call` takes. Default: float32 of the shapes
            that the model was built with, the batch left free.

    Returns:
        A functional `keras.Model`. Its layers are those of `model`: training one trains the other.

    Raises:
        UnsupportedModelError: The model is not built; `call` fails on `keras.Input`s (as
            TensorFlow functions and Python conditions on values do), does other things in
            training than in inference, or reads weights that lie in no layer. The message says
            which, and what to do.

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
    if getattr(model, "inputs", None):  # Functional, but for a call around its graph.
        return keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype), model.input
        )
    config = (model.get_build_config() if model.built else None) or {}
    shapes = config.get("input_shape") or config.get("shapes_dict")
    if not shapes:
        raise UnsupportedModelError(
            "The subclassed model is not built: the shapes of its inputs are unknown. Call it "
            "once on a batch, model(x[:1]), before it is compressed or converted. "
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
            f"The call of {type(model).__name__} gives no graph: on a keras.Input it ends in "
            f"{type(error).__name__}: {reason}. Let it use Keras layers and keras.ops alone. "
            f"{_WAY_OUT} Received: a subclassed model"
        ) from error


def _check_training(model, inputs, outputs):
    """Refuse code for training alone: a graph has one way through."""
    if "training" not in inspect.signature(model.call).parameters:
        return
    trained = _called(model, inputs, training=True)
    if _operations(inputs, outputs) != _operations(inputs, trained):
        raise UnsupportedModelError(
            f"The call of {type(model).__name__} does other things in training than in inference, "
            "which a graph cannot. Put that into a layer of its own, or into train_step. "
            f"{_WAY_OUT} Received: a subclassed model"
        )


def _operations(inputs, outputs):
    """List what is computed between inputs and outputs: layers by name, operations by type."""
    found = [
        operation.name if isinstance(operation, keras.layers.Layer) else type(operation).__name__
        for operation in keras.Model(inputs, outputs).operations
    ]
    return sorted(found)


def _check_weights(model, traced):
    in_graph = {id(weight) for weight in traced.weights}
    own = [weight.path for weight in model.weights if id(weight) not in in_graph]
    own = [path for path in own if "seed_generator" not in path]
    if own:
        raise UnsupportedModelError(
            f"{len(own)} weights of {type(model).__name__} lie in no layer that it calls. Put "
            "each into a layer, and remove layers that are not called. "
            f"{_WAY_OUT} Received: {', '.join(own[:3])}"
        )
