"""Keep the training code of a user's model class when its model is rebuilt."""

import keras

from keras_compress.errors import UnsupportedModelError
from keras_compress.graph.rebuilt_model import give_class

# Methods that a class may define without changing how its models are trained and run.
_HARMLESS = {"get_config", "from_config", "get_build_config", "build_from_config", "summary"}

# Methods that the traced graph already represents.
_IN_THE_GRAPH = {"call", "build", "compute_output_shape", "compute_output_spec"}


def keep_class(rebuilt, model):
    """Give a rebuilt model the class of the model it was built from.

    A class that overrides no training method of `keras.Model` (`train_step`, `compute_loss`,
    `compile` …) is dropped, so that the file of the new model does not need the user's code.

    Args:
        rebuilt: Functional `keras.Model`, changed in place.
        model: The original model, of a Keras class or of a user's class.

    Returns:
        `rebuilt`, with the attributes that the code of the class may read. Attributes that are
        layers of the graph are replaced by the layers of the new model.

    Raises:
        UnsupportedModelError: The class is a subclass of Sequential with custom training code,
            or it has both custom training code and its own `call`.

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
            "Training code can only be kept for functional models. Let the class extend "
            "keras.Model without a call, and create it from inputs and outputs: "
            f"{type(model).__name__}(inputs, outputs). Received: {type(model).__name__}, which "
            f"defines {', '.join(sorted(own))}"
        )
    if isinstance(model, keras.Sequential):
        raise UnsupportedModelError(
            "The training code of a subclass of Sequential cannot be kept, as the new model may "
            "have branches. Let the class extend keras.Model and call it with inputs and outputs. "
            f"Received: {type(model).__name__}, which defines {', '.join(sorted(own))}"
        )
    return give_class(rebuilt, model)


def overridden(kind):
    """Return the names of the methods of `keras.Model` that a user's class or its parents override.

    Args:
        kind: The class of a model.

    Returns:
        Set of names, empty for Keras' own classes.
    """
    # The parents of keras.Model differ between backends: torch.nn.Module, for one.
    own = [parent for parent in kind.__mro__ if parent not in keras.Model.__mro__]
    own = [parent for parent in own if parent.__module__.split(".")[0] != "keras"]
    names = {name for parent in own for name in vars(parent)}
    names -= _HARMLESS
    return {name for name in names if hasattr(keras.Model, name) and not name.startswith("_")}
