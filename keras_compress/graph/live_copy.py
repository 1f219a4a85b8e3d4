"""Copy a layer for a rebuilt model, also one that has no usable config."""

import contextlib
import functools
from typing import Any

import keras

from keras_compress.errors import UnsupportedModelError
from keras_compress.graph.duplicate import CannotDuplicate, duplicate

_PACKAGES = ("keras", "keras_compress")


def is_custom(layer: Any) -> bool:
    """Tell whether the class of a layer is a user's, not one of Keras or of this package.

    Args:
        layer: A Keras layer.
    """
    return type(layer).__module__.split(".")[0] not in _PACKAGES


def live_copy(layer: Any, name: str, kind: Any, changes: dict[str, Any]) -> Any:
    """Return a copy of a layer.

    A built layer of a user's class is duplicated as it is, whatever its config says; a `Lambda` is
    copied with its function, which is never serialized. Other layers are made from their config and
    not built. A layer without weights whose config fails is returned as it is, as two models can
    share it.

    Args:
        layer: A Keras layer.
        name: Name of the copy.
        kind: Class of the copy.
        changes: Other entries of its config that the copy has instead.

    Returns:
        The copy, or `layer` itself.

    Raises:
        UnsupportedModelError: The layer has weights and can neither be duplicated nor made from
            its config.
    """
    if isinstance(layer, keras.layers.Lambda):
        return _copy_of_lambda(layer, name, changes)
    if type(layer) is keras.layers.Identity:
        # Made with a DTypePolicy it has no config.
        return keras.layers.Identity(dtype=changes.get("dtype", layer.dtype_policy.name), name=name)
    if is_custom(layer) and layer.built and layer.variables and not changes:
        with contextlib.suppress(CannotDuplicate):
            return _with_usable_config(duplicate(layer, name))
    try:
        return kind.from_config({**layer.get_config(), **changes, "name": name})
    except Exception as error:  # Whatever the user's code raises.
        if not layer.variables and name == layer.name:
            return layer
        reason = next(filter(None, str(error).splitlines()), "")
        raise UnsupportedModelError(
            f"A layer with weights is copied by from_config(get_config()). For {layer.name!r} that "
            f"raises {type(error).__name__}: {reason[:200]}. Define get_config so that it returns "
            "all arguments of the constructor, and from_config if an argument must be "
            f"deserialized. Received: a layer of type {type(layer).__name__}"
        ) from error


def _with_usable_config(copy):
    """Let a file hold the constructor's own arguments where the class makes nothing of its config.

    Keras makes the config of a class that has no `get_config` from these arguments anyway.
    """
    if type(copy).get_config is not keras.layers.Layer.get_config:
        object.__setattr__(copy, "get_config", functools.partial(_usable_config, copy))
    return copy


def _usable_config(layer):
    """Return the config of a layer, or what Keras noted of the call of its constructor.

    There is no such note if an argument was more than numbers and strings.
    """
    kind, arguments = type(layer), layer._auto_config
    config = kind.get_config(layer)
    if arguments is None:
        return config
    try:
        kind.from_config(dict(config))
    except Exception:  # Whatever the user's code raises.
        return {**arguments.config, "name": layer.name, "trainable": layer.trainable}
    return config


def _copy_of_lambda(layer, name, changes):
    return type(layer)(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        trainable=layer.trainable,
        dtype=changes.get("dtype", layer.dtype_policy),
        activity_regularizer=layer.activity_regularizer,
        name=name,
    )
