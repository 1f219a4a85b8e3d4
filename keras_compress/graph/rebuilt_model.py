"""The class of a rebuilt model whose file must say more than its graph does."""

import contextlib
import copy
import functools
import warnings
from typing import Any, TypeAlias

import keras
from keras.src.models.functional import Functional, functional_like_constructor

from keras_compress.graph.duplicate import CannotDuplicate, duplicate
from keras_compress.graph.graph import all_layers

# What `json.loads` returns for an object.
Json: TypeAlias = dict[str, Any]

# Attributes that compile and fit set on a model.
_OF_A_TRAINING = {"optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting"}


@keras.saving.register_keras_serializable(package="keras_compress")
class RebuiltModel(Functional):
    """A functional model whose file has its output names and the class it was built from.

    Keras names the outputs of a functional model after its last layers, and `kc.compress` puts
    layers behind those. A class of a user's own whose constructor takes other arguments than
    inputs and outputs cannot load a graph: the file of this class has both.

    Attributes:
        output_names: Names of the outputs, one for each.
        user_class: The class of a user whose methods the model has, or `None`.
        original: How to make a model of that class: its `"class_name"`, `"registered_name"` and
            `"config"`, which is `None` for a class that is made from a graph. `None` if there is
            no such class, or its `get_config` fails.
    """

    user_class: Any = None
    original: Json | None = None

    def get_config(self) -> Json:
        """Return the config of the graph, the output names and the original."""
        if self.original is None and self.user_class is not None:
            warnings.warn(
                f"A file cannot hold the class {self.user_class.__name__}, whose get_config fails: "
                "the model is loaded as a functional model, without the methods of the class. "
                "Define get_config and from_config to keep it.",
                stacklevel=2,
            )
        graph = keras.Model(self._inputs_struct, self._outputs_struct, name=self.name)
        own = {"output_names": list(self.output_names), "original": self.original}
        return {**graph.get_config(), "trainable": self.trainable, **own}

    @classmethod
    def from_config(cls, config: Json, custom_objects: Json | None = None) -> Any:
        """Make the model from what `get_config` returned.

        The class is left out with a warning if it is not registered or cannot be made.
        """
        config = dict(config)
        names, original = config.pop("output_names"), config.pop("original")
        model = None if original is None else _remade(config, original, custom_objects)
        model = keras.Model.from_config(config, custom_objects) if model is None else model
        return named_outputs(model, names)


def named_outputs(model: Any, names: list[str]) -> Any:
    """Name the outputs of a functional model, also in its files.

    Args:
        model: A functional `keras.Model`, changed in place.
        names: The names, one for each output.

    Returns:
        `model`. If Keras names the outputs differently, its class is a `RebuiltModel`.

    Example:
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2, name="head")(inputs))
        >>> named_outputs(model, ["kind"]).output_names
        ['kind']
    """
    if list(model.output_names) == list(names):
        return model
    kind: Any = type(model)
    if kind is Functional:
        model.__class__ = RebuiltModel
    elif not isinstance(model, RebuiltModel):
        model.__class__ = _in_files(kind)
        model.original = _original(kind, None)
    model.output_names = list(names)
    return model


def named_by_layers(model: Any, names: list[str]) -> Any:
    """Name several outputs by layers, so that the model stays a plain one.

    Args:
        model: A functional `keras.Model`.
        names: The names, one for each output.

    Returns:
        `model`, or a model of the same layers in which an `Identity` of that name follows each
        output that Keras names differently. A name that another layer or output has is left out.
    """
    if len(names) == 1 or list(model.output_names) == list(names):
        return model
    taken = {operation.name for operation in model.operations}
    outputs = [
        tensor
        if name in taken or names.count(name) > 1
        else keras.layers.Identity(name=name)(tensor)
        for name, tensor in zip(names, model.outputs, strict=True)
    ]
    outputs = keras.tree.pack_sequence_as(model._outputs_struct, outputs)
    return keras.Model(model._inputs_struct, outputs, name=model.name)


def give_class(model: Any, original: Any) -> Any:
    """Give a functional model the class and the attributes of another model.

    Args:
        model: A functional `keras.Model`, changed in place.
        original: A functional model of a user's class that has no `call` of its own. Attributes
            that are layers of its graph are replaced by the layers of `model`, `None` where it has
            none of that name. Other layers, such as an encoder of labels, are copied.

    Returns:
        `model`.
    """
    rebuilt = isinstance(original, RebuiltModel)
    kind: Any = original.user_class if rebuilt else type(original)
    if _is_made_from_a_graph(kind):
        model.__class__ = kind
    else:
        model.__class__ = _in_files(kind)
        model.original = original.original if rebuilt else _original(kind, _config_of(original))
    layers = {layer.name: layer for layer in model.layers}
    graph = [part for layer in original.layers for part in (layer, *all_layers(layer))]
    for name, value in vars(original).items():
        if name not in vars(model) and name not in _OF_A_TRAINING and name[0] != "_":
            setattr(model, name, _counterpart(value, graph, layers))
    return model


def _counterpart(value, graph, layers):
    if isinstance(value, list | tuple):
        return [_counterpart(member, graph, layers) for member in value]
    if not isinstance(value, keras.layers.Layer):
        return value
    if any(value is layer for layer in graph):
        return layers.get(value.name)
    if value.variables:
        with contextlib.suppress(CannotDuplicate):
            return duplicate(value, value.name)
    return value


def _is_made_from_a_graph(kind):
    """Tell whether Keras loads a model of a class as it loads functional ones."""
    has_own_config = kind.get_config is not Functional.get_config
    return functional_like_constructor(kind) and not has_own_config


def _config_of(model):
    """Return the config of a user's model, or `None` if its class has none."""
    try:
        return model.get_config()
    except Exception:  # Whatever the user's code raises.
        return None


def _original(kind, config):
    if config is None and not _is_made_from_a_graph(kind):
        return None
    name = keras.saving.get_registered_name(kind)
    return {"class_name": kind.__name__, "registered_name": name, "config": config}


@functools.cache
def _in_files(kind):
    """Return a subclass of a user's class whose files are those of `RebuiltModel`."""
    own = {"__module__": kind.__module__, "__doc__": kind.__doc__, "user_class": kind}
    register = keras.saving.register_keras_serializable("keras_compress", "RebuiltModel")
    made = register(type(kind.__name__, (RebuiltModel, kind), own))
    register(RebuiltModel)  # Files are loaded by the class itself.
    return made


def _remade(config, original, custom_objects):
    """Return a model of a user's class with a graph; `None`, with a warning, without the class."""
    names = original["registered_name"], original["class_name"]
    kinds = (keras.saving.get_registered_object(name, custom_objects) for name in names)
    kind = next(filter(None, kinds), None)
    try:
        if kind is None:
            raise ValueError("it is not registered by keras.saving.register_keras_serializable")
        if original["config"] is None:
            return kind.from_config(copy.deepcopy(config))
        # Keras takes entries out of the config that it reads.
        graph = keras.Model.from_config(copy.deepcopy(config), custom_objects)
        return give_class(graph, kind.from_config(original["config"]))
    except Exception as error:  # Whatever the user's code raises.
        warnings.warn(
            f"The file's model is loaded without the methods of its class {names[1]}: "
            f"{str(error)[:200]}. Import the module that defines and registers the class first, or "
            "pass custom_objects.",
            stacklevel=2,
        )
        return None
