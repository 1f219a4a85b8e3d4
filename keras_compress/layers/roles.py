"""The role of a layer or operation: how its output is quantized in a TFLite file."""

from typing import Any

from keras_compress.layers import base as layer_types
from keras_compress.layers import operations
from keras_compress.layers.operations import Role

# The output ranges of LOGISTIC and SOFTMAX (scale 1/256, zero point -128), TANH (1/128, 0) and
# LOG_SOFTMAX (16/256, 127).
FIXED_RANGES = {
    "softmax": (0.0, 255 / 256),
    "sigmoid": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
    "log_softmax": (-255 / 16, 0.0),
}
# Numbers of one byte are the integers of a quantized tensor with scale 1. Larger types do not fit
# in eight bits, and are mostly indices.
BYTE_RANGES = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0)}


def role(operation: Any) -> Role:
    """Return the role of a Keras layer or operation.

    Args:
        operation: A layer, or an operation of `keras.ops`.

    Returns:
        A `Role`.

    Example:
        >>> import keras
        >>> role(keras.layers.ReLU(6)), role(keras.layers.ReLU(5))
        (<Role.RELU: 'relu'>, <Role.OWN: 'own'>)
    """
    row = operations.of(operation)
    if layer_types.find(operation) is not None and not callable(row.role):
        return row.role
    if is_fusable(operation):
        return Role.RELU
    activation = activation_name(operation)
    if activation in FIXED_RANGES:
        return Role.FIXED
    if row.applies_activation and activation == "linear":
        return Role.PASS
    return row.role(operation) if callable(row.role) else row.role


def activation_name(operation: Any) -> str | None:
    """Return the name of the activation function that an operation applies, or `None`.

    Args:
        operation: A layer, or an operation of `keras.ops`.
    """
    row = operations.of(operation)
    # Layers of other types, such as LSTM, have activations inside them.
    activation = getattr(operation, "activation", None) if row.applies_activation else None
    if activation is not None:
        return getattr(activation, "__name__", type(activation).__name__)
    return row.activation


def is_fusable(operation: Any) -> bool:
    """Tell whether TFLite fuses an operation's activation into the operator before it.

    Args:
        operation: A layer, or an operation of `keras.ops`.
    """
    if operations.of(operation).form == "rectifier":
        plain = not operation.negative_slope and not operation.threshold
        return plain and operation.max_value in (None, 6)
    return activation_name(operation) in ("relu", "relu6")
