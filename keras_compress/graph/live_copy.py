"""Copy a layer for a rebuilt model, also one that has no usable config."""

from typing import Any

import keras

from keras_compress.errors import UnsupportedModelError


def live_copy(layer: Any, name: str, kind: Any, changes: dict[str, Any]) -> Any:
    """Return an unbuilt copy of a layer.

    A `Lambda` is copied with its function, which is never serialized. A layer without weights whose
    config fails is returned as it is, as two models can share it.

    Args:
        layer: A Keras layer.
        name: Name of the copy.
        kind: Class of the copy.
        changes: Other entries of its config that the copy has instead.

    Returns:
        The copy, or `layer` itself.

    Raises:
        UnsupportedModelError: The layer has weights and cannot be made from its config.
    """
    if isinstance(layer, keras.layers.Lambda):
        return _copy_of_lambda(layer, name, changes)
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
