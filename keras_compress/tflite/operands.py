"""Which of an operator's tensors are its feature maps, weights, bias and axes."""

import numpy as np

_WEIGHTS = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "CONV_3D": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}
_DATA = {"TRANSPOSE_CONV": 2, "SPLIT": 1}
_AXIS_OPERANDS = {
    "ARG_MAX": 1,
    "ARG_MIN": 1,
    "MEAN": 1,
    "REDUCE_ALL": 1,
    "REDUCE_ANY": 1,
    "REDUCE_MAX": 1,
    "REDUCE_MIN": 1,
    "REDUCE_PROD": 1,
    "SPLIT": 0,
    "SPLIT_V": 2,
    "SUM": 1,
}
# Inputs that say how to compute and are no feature maps, even where they are computed.
_PARAMETERS = {
    **dict.fromkeys(_AXIS_OPERANDS, (1,)),
    "BATCH_TO_SPACE_ND": (1, 2),
    "BROADCAST_TO": (1,),
    "CUMSUM": (1,),
    "EMBEDDING_LOOKUP": (0,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "GATHER": (1,),
    "GATHER_ND": (1,),
    "MIRROR_PAD": (1,),
    "PAD": (1,),
    "PADV2": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "REVERSE_V2": (1,),
    "SLICE": (1, 2),
    "SPACE_TO_BATCH_ND": (1, 2),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "TILE": (1,),
    "TOPK_V2": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
}


def operand(operator, position):
    """Return an input, `None` where it is absent."""
    return operator.inputs[position] if position < len(operator.inputs) else None


def weights(operator):
    """Return the tensor of weights, `None` where the operator has none."""
    return operand(operator, _WEIGHTS[operator.name][0]) if operator.name in _WEIGHTS else None


def bias(operator):
    """Return the bias, `None` where the operator has none."""
    return operand(operator, _WEIGHTS[operator.name][1]) if operator.name in _WEIGHTS else None


def data(operator):
    """Return the feature map that the operator works on, `None` where it has none."""
    return operand(operator, _DATA.get(operator.name, 0))


def feature_maps(operator):
    """Return the tensors that are computed, not stored: inputs, then outputs."""
    parameters = _PARAMETERS.get(operator.name, ())
    inputs = [t for i, t in enumerate(operator.inputs) if i not in parameters]
    computed = [t for t in inputs if t is not None and not t.is_constant]
    return (*computed, *operator.outputs)


def axes(operator):
    """Return the axes that an operator works along, from 0 on; empty where they are unknown."""
    tensor = data(operator)
    if tensor is None or not tensor.shape:
        return ()
    rank = len(operator.outputs[0].shape) if operator.name == "PACK" else len(tensor.shape)
    if operator.name in _AXIS_OPERANDS:
        holder = operand(operator, _AXIS_OPERANDS[operator.name])
        found = np.ravel(holder.data) if holder is not None and holder.is_constant else ()
    else:
        found = [operator.options["axis"]] if "axis" in operator.options else ()
    return tuple(int(axis) % rank for axis in found)


def height_and_width(tensor):
    """Return the two dimensions before the channels, 1 where the tensor has none."""
    padded = (1, 1, 1, *tensor.shape)
    return padded[-3], padded[-2]
