"""What a layer or operation does to the integer grid of its input in a TFLite file.

The constraints are those of TFLite's quantization specification ("8-bit quantization
specification", operator table): which operators share the scale of input and output, and which
fix the scale of their output.
"""

import enum

import keras

from keras_compress.layers import base as layer_types


class Role(enum.Enum):
    """How an operation's output is quantized."""

    KERNEL = "kernel"  # its output is a new tensor; a ReLU behind it is fused into it
    FUSABLE = "fusable"  # the same without a kernel: BatchNormalization, Add, Multiply
    RELU = "relu"  # fused into the operator before it; elsewhere it stays on the input's grid
    PASS = "pass"  # picks values of its input: same grid, nothing rounded
    SAME_SCALE = "same_scale"  # rounds to its input's grid: average pooling, resizing
    JOIN = "join"  # all inputs and the output share one grid: concatenation
    FIXED = "fixed"  # the operator fixes the output's scale: softmax
    OWN = "own"  # a new tensor with a range of its own
    UNKNOWN = "unknown"  # not followed: left in float in training


_PASS = {
    *("Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Dropout", "GaussianNoise"),
    *("SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "AlphaDropout", "Masking"),
    *("ActivityRegularization", "MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D"),
    *("GlobalMaxPooling2D", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D"),
    *("UpSampling1D", "Transpose", "Squeeze", "ExpandDims", "GetItem", "StopGradient", "Pad"),
    *("Split", "Unstack", "Take", "Tile", "Repeat", "MaxPool", "Max", "Ravel", "Swapaxes"),
    *("Moveaxis", "BroadcastTo"),
}
_SAME_SCALE = {
    *("AveragePooling1D", "AveragePooling2D", "AveragePool", "Resizing", "Resize"),
    "UpSampling2D",
}
_JOIN = {"Concatenate", "Maximum", "Minimum", "Stack", "AttentionMask"}
_FUSABLE = {
    *("BatchNormalization", "Add", "Subtract", "Multiply", "Rescaling", "Normalization"),
    "LayerScale",  # of keras.applications.convnext: a product with one factor a channel
}
_OWN = {
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "Mean", "Sum", "Average", "LeakyReLU"),
    *("PReLU", "ELU", "Dot", "Matmul", "Einsum", "Divide", "TrueDivide", "Negative", "Square"),
    *("Sqrt", "Rsqrt", "Exp", "Absolute", "Power", "Log", "Sin", "Cos", "Gelu", "LeakyRelu"),
    *("Elu", "HardSwish", "HardSigmoid", "Silu", "Swish", "Softplus", "Softsign", "Clip"),
    *("Normalize", "L2Normalize", "UnitNormalization", "AttentionScores", "AttentionContext"),
    *("NormalizationStep", "NormalizationAffine"),
}
_OPERATION_ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
}
# What LOGISTIC, SOFTMAX and TANH fix: scale 1/256 with zero point -128, and 1/128 with 0.
FIXED_RANGES = {
    "softmax": (0.0, 255 / 256),
    "sigmoid": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
}


def role(operation):
    """Return the role of a Keras layer or operation.

    Args:
        operation: A layer, or an operation of `keras.ops`.

    Returns:
        A `Role`.
    """
    if layer_types.find(operation) is not None:
        return Role.KERNEL
    name = type(operation).__name__
    if is_fusable(operation):
        return Role.RELU
    if activation_name(operation) in FIXED_RANGES:
        return Role.FIXED
    if name == "UpSampling2D" and operation.interpolation == "nearest":
        return Role.PASS
    if name == "Activation":
        return Role.PASS if activation_name(operation) == "linear" else Role.OWN
    for names, found in (
        (_PASS, Role.PASS),
        (_SAME_SCALE, Role.SAME_SCALE),
        (_JOIN, Role.JOIN),
        (_FUSABLE, Role.FUSABLE),
        (_OWN, Role.OWN),
    ):
        if name in names:
            return found
    if isinstance(operation, keras.layers.ReLU):
        return Role.OWN
    return Role.UNKNOWN


def activation_name(operation):
    """Return the name of the activation function that an operation applies, or `None`.

    Args:
        operation: A layer, or an operation of `keras.ops`.
    """
    # Layers of other types, such as LSTM, have activations inside them.
    found = layer_types.find(operation)
    applies = isinstance(operation, keras.layers.Activation) or found and found.applies_activation
    activation = getattr(operation, "activation", None) if applies else None
    if activation is not None:
        return getattr(activation, "__name__", type(activation).__name__)
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    return _OPERATION_ACTIVATIONS.get(type(operation).__name__)


def is_fusable(operation):
    """Tell whether an operation's activation is one that TFLite fuses into the operator before.

    Args:
        operation: A layer, or an operation of `keras.ops`.
    """
    if isinstance(operation, keras.layers.ReLU):
        plain = not operation.negative_slope and not operation.threshold
        return plain and operation.max_value in (None, 6)
    return activation_name(operation) in ("relu", "relu6")
