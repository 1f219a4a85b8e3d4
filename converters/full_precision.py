"""Copy a model that was trained in half precision to float32 for the converter."""

import contextlib

import keras

from keras_compress.graph.graph import Value, all_layers, trace
from keras_compress.graph.live_copy import is_custom
from keras_compress.graph.replay import rebuild
from keras_compress.wrappers.copies import LayerCopies

HALF_PRECISION = ("bfloat16", "float16")


@contextlib.contextmanager
def float32_policy():
    """Create layers in float32 inside a `with` block, whatever the global dtype policy is.

    A conversion creates layers of its own. Under `mixed_float16` they would cast their inputs
    down, and the file would contain CAST operators in float. Keras keeps a policy for each thread,
    so other threads do not notice.

    Example:
        >>> with float32_policy():
        ...     keras.layers.Dense(2).compute_dtype
        'float32'
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def in_float32(model):
    """Return a copy of a model in which every layer computes in float32.

    Under a policy such as `mixed_bfloat16`, layers cast their inputs down. TFLite has no bfloat16,
    and its converter confuses the types. The weights under such a policy are float32 anyway.

    Args:
        model: A built `keras.Model`, plain or compressed.

    Returns:
        A functional copy.

    Raises:
        UnsupportedModelError: The model has no graph.

    Example:
        >>> layer = keras.layers.Dense(2, dtype="mixed_bfloat16", name="head")
        >>> model = keras.Sequential([keras.Input((4,)), layer])
        >>> in_float32(model).get_layer("head").compute_dtype
        'float32'
    """
    graph = trace(model)
    copies = _Float32Copies()

    def apply(call, args, kwargs):
        return args[0] if isinstance(call, Value) else copies.plain(call.operation)(*args, **kwargs)

    copy = rebuild(graph, apply)
    copies.copy_weights()
    return copy


class _Float32Copies(LayerCopies):
    def plain(self, operation, changes=None):
        """See `LayerCopies.plain`; the copy computes in float32."""
        if isinstance(operation, keras.layers.Lambda):
            in_float = {"dtype": "float32"}  # Its config would serialize the function.
        elif isinstance(operation, keras.layers.Layer) and is_custom(operation):
            return _of_float32(super().plain(operation), operation)
        elif isinstance(operation, keras.layers.Layer):
            in_float = _without_policies(operation.get_config())
        else:
            in_float = {}
        return super().plain(operation, {**in_float, **(changes or {})})


def _of_float32(copy, layer):
    """Let the copy of a user's layer, and all layers inside it, compute in float32."""
    if copy is not layer:
        for part in (copy, *all_layers(copy)):
            part.dtype_policy = "float32"
    return copy


def _without_policies(config):
    """Return a configuration with every dtype policy in it replaced by float32."""
    if isinstance(config, dict):
        if config.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
            return "float32"
        return {key: _without_policies(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_without_policies(value) for value in config)
    return config
