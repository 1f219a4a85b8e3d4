"""Training code of a user's own model class, kept by the model that is built from its graph."""

import keras

from keras_compress.errors import UnsupportedModelError
from keras_compress.graph.graph import all_layers

# What a class may define without changing how its models are trained and run.
_HARMLESS = {"get_config", "from_config", "get_build_config", "build_from_config", "summary"}

# What the graph that its `call` gave stands for.
_IN_THE_GRAPH = {"call", "build", "compute_output_shape", "compute_output_spec"}

# What compile and fit leave behind in a model.
_OF_A_TRAINING = {"optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting"}


def keep_class(rebuilt, model):
    """Give a rebuilt model the class of the model it was built from.

    A class that overrides nothing of `keras.Model` (`train_step`, `compute_loss`, `compile` …)
    is left behind, so that the file of the new model needs no code of the user's.

    Args:
        rebuilt: Functional `keras.Model`, changed in place.
        model: The model whose graph was rebuilt, of Keras' own or of a user's class.

    Returns:
        `rebuilt`, with the attributes that the class's own code may read: those that are layers
        of the graph are the new model's.

    Raises:
        UnsupportedModelError: A subclass of Sequential with training code of its own, or a class
            that has a `call` of its own as well.

    Example:
        >>> class Doubled(keras.Model):
        ...     def compute_loss(self, *args, **kwargs):
        ...         return 2 * super().compute_loss(*args, **kwargs)
        >>> inputs = keras.Input((8,))
        >>> model = Doubled(inputs, keras.layers.Dense(4)(inputs))
        >>> type(kc.compress(model, quantization="generic_int8")).__name__
        'Doubled'
    """
    own = overridden(type(model))
    if not own - _IN_THE_GRAPH:
        return rebuilt
    if "call" in own:
        raise UnsupportedModelError(
            "Training code can be kept where the layers make a graph by themselves. Let the class "
            "extend keras.Model without a call, and make it with inputs and outputs: "
            f"{type(model).__name__}(inputs, outputs). Received: {type(model).__name__}, which "
            f"defines {', '.join(sorted(own))}"
        )
    if isinstance(model, keras.Sequential):
        raise UnsupportedModelError(
            "The training code of a subclass of Sequential cannot be kept, for the new model may "
            "branch. Let the class extend keras.Model and call it with inputs and outputs. "
            f"Received: {type(model).__name__}, which defines {', '.join(sorted(own))}"
        )
    rebuilt.__class__ = type(model)
    places = {layer.name: layer for layer in rebuilt.layers}
    graph = all_layers(model)
    for name, value in vars(model).items():
        if name not in vars(rebuilt) and name not in _OF_A_TRAINING and name[0] != "_":
            setattr(rebuilt, name, _counterpart(value, graph, places))
    return rebuilt


def overridden(kind):
    """Name the methods of `keras.Model` that a user's class and its parents define anew.

    Args:
        kind: The class of a model.

    Returns:
        Set of names, empty for Keras' own classes.
    """
    own = [parent for parent in kind.__mro__ if parent.__module__.split(".")[0] != "keras"]
    names = {name for parent in own if parent is not object for name in vars(parent)}
    names -= _HARMLESS
    return {name for name in names if hasattr(keras.Model, name) and not name.startswith("_")}


def _counterpart(value, graph, places):
    if isinstance(value, list | tuple):
        return [_counterpart(member, graph, places) for member in value]
    if isinstance(value, keras.layers.Layer) and any(value is layer for layer in graph):
        return places.get(value.name)
    return value
