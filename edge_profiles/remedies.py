"""Remedies: the change in a Keras model or a conversion that removes a finding."""

_CONVERT_INTEGER = (
    "Convert again with a representative dataset to full integer: "
    "kc.convert(model, profile=..., representative_dataset=x)."
)

# A remedy is looked up by (operator, limit), then by operator, then by limit.
_BY_OPERATOR_AND_LIMIT = {
    ("AVERAGE_POOL_2D", "activations"): (
        "Put the ReLU before the AveragePooling2D (the converter fuses one that follows) and "
        "train on for a few epochs: the function changes a little."
    ),
    ("MAX_POOL_2D", "activations"): (
        "Put the ReLU before the MaxPooling2D: the result is the same."
    ),
    ("CONCATENATION", "activations"): "Put the activation before the Concatenate.",
    ("CONV_2D", "max_version"): (
        "Version 6 comes from Conv2D with groups > 1: use groups=1, a DepthwiseConv2D, or split "
        "the channels by hand."
    ),
    ("TRANSPOSE_CONV", "max_version"): (
        "Take the activation out of the Conv2DTranspose into a layer of its own."
    ),
    ("PRELU", "alpha_per_channel"): (
        "Give PReLU shared_axes=[1, 2] (images) or [1] (sequences): one slope per channel."
    ),
    ("MEAN", "reduction"): (
        "Average over height and width only (GlobalAveragePooling2D); replace LayerNormalization "
        "and means over channels by BatchNormalization, or make channels a multiple of 4."
    ),
    ("FULLY_CONNECTED", "per_channel"): (
        "Convert with one scale for each Dense kernel: kc.convert does so for profiles with "
        "per_channel_dense = false."
    ),
    ("FULLY_CONNECTED", "output_dimensions"): (
        "Apply Dense to flat vectors (Flatten or GlobalAveragePooling first), or use a 1x1 "
        "Conv2D on maps: the same weights, the same result."
    ),
    ("SOFTMAX", "inner_dimensions"): (
        "Take the softmax of a vector, or leave it out of the network: argmax of the logits gives "
        "the same label."
    ),
    ("SOFTMAX", "max_elements"): (
        "Leave the softmax out of the network: argmax of the logits gives the same label."
    ),
    ("RESIZE_BILINEAR", "resize"): (
        "Resize by 2 (twice for 4), the same in height and width: UpSampling2D(2, "
        "interpolation='bilinear')."
    ),
    ("RESIZE_NEAREST_NEIGHBOR", "resize"): "Resize by 2, 4 or 8, the same in height and width.",
    ("AVERAGE_POOL_2D", "pool_window"): (
        "Use GlobalAveragePooling2D for the whole map, or a smaller window with padding='valid'."
    ),
    ("TRANSPOSE_CONV", "transposed_stride"): (
        "Use strides of 1 or 2 in Conv2DTranspose, or resize and then convolve."
    ),
    ("BATCH_MATMUL", "types"): (
        "Convert with 8-bit activations: attention with 16-bit ones runs on the CPU."
    ),
}
_BY_OPERATOR = {
    "TILE": (
        "UpSampling2D(interpolation='nearest') becomes TILE: use keras.ops.image.resize(x, size, "
        "interpolation='nearest'), which is exact, or UpSampling2D(interpolation='bilinear')."
    ),
    "HARD_SWISH": "Use ReLU or ReLU6 for hard_silu / hard_swish, and train on for a few epochs.",
    "GELU": "Use ReLU for gelu; on TFLite Micro, silu (LOGISTIC and MUL) runs too.",
    "ELU": "Use ReLU or LeakyReLU for elu: the converter leaves ELU in float.",
    "SELECT": "Use ReLU or LeakyReLU for selu.",
    "LEAKY_RELU": (
        "Use ReLU, or PReLU with shared_axes=[1, 2] and a fixed slope, which is the same function."
    ),
    "EXP": "Use ReLU or silu for softplus, mish, celu and exponential.",
    "LOG_SOFTMAX": (
        "Leave log_softmax out of the network: argmax of the logits gives the same label."
    ),
    "SQRT": "Avoid sqrt in the network (squareplus, norms): compute it outside.",
    "SQUARE": "Use keras.ops.multiply(x, x) for square: MUL is taken nearly everywhere.",
    "NEG": (
        "Use keras.ops.multiply(x, -1.0) for a minus sign; use BatchNormalization, which folds "
        "away, for LayerNormalization and GroupNormalization."
    ),
    "DIV": "Multiply by the reciprocal where the divisor is constant; avoid softsign.",
    "CONV_3D": "Use Conv2D on the stacked planes.",
    "SHAPE": "Fix the batch: keras.Input(..., batch_size=1), or convert with kc.convert.",
    "REDUCE_PROD": "Fix the batch: keras.Input(..., batch_size=1), or convert with kc.convert.",
    "SPACE_TO_BATCH_ND": "Fix the batch: then a dilated convolution is one operator.",
    "BATCH_TO_SPACE_ND": "Fix the batch: then a dilated convolution is one operator.",
    "BATCH_MATMUL": "Use Dense or convolution layers where the second operand is constant.",
    "WHILE": "Unroll the recurrent layer: unroll=True.",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "Unroll the recurrent layer: unroll=True.",
    "UNPACK": "Feed a recurrent layer's steps as separate inputs, or use Conv1D for the sequence.",
    "DENSIFY": "Convert without Optimize.EXPERIMENTAL_SPARSITY; the zeros stay in the weights.",
    "ARG_MAX": "Take argmax outside of the network.",
    "CAST": "Feed the network the type that it computes with.",
}
_BY_LIMIT = {
    "types": _CONVERT_INTEGER,
    "input_types": _CONVERT_INTEGER,
    "weight_types": "Convert with a weight width of the profile (weight_bits).",
    "hybrid": _CONVERT_INTEGER,
    "quantized": _CONVERT_INTEGER,
    "constant_inputs": "Make sizes, paddings, axes and weights constants of the model.",
    "equal_dilation": "Use the same dilation_rate in height and width.",
    "max_dilation": "Use dilation_rate=1.",
    "max_stride": "Use strides up to 3, or padding='valid'.",
    "max_rank": "Reshape to at most 4 dimensions (batch, height, width, channels).",
    "inner_dimensions": "Keep the batch at 1 and maps at most 3-dimensional.",
    "max_batch": "Fix the batch at 1.",
    "max_version": "Convert with an older TensorFlow, or replace the layer.",
    "per_channel": "Convert with one scale for each tensor.",
    "batch_axis": "Do not work along the batch axis.",
    "same_scale": "Quantize with kc.compress, which gives such inputs one range.",
    "weight_sum": "Split the layer, or regularize its weights.",
}


def remedy(operator, limit=""):
    """Return what to change so that an operator keeps a limit.

    Args:
        operator: Name of the operator.
        limit: Name of the limit that it breaks.

    Returns:
        A sentence; a general one if nothing specific is known.

    Example:
        >>> remedy("PRELU", "alpha_per_channel")
        'Give PReLU shared_axes=[1, 2] (images) or [1] (sequences): one slope per channel.'
    """
    return (
        _BY_OPERATOR_AND_LIMIT.get((operator, limit))
        or (_BY_OPERATOR.get(operator) if limit in ("", "unsupported") else None)
        or _BY_LIMIT.get(limit)
        or _BY_OPERATOR.get(operator)
        or "Replace the layer by one whose operators the target takes, or leave it on the CPU."
    )
