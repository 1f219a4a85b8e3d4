"""Operators that no interpreter could execute: inputs are missing, or of another rank."""

# Operator -> {position of an input: its rank, `None` for any}.
_INPUTS = {
    "ARG_MAX": {0: None, 1: None},
    "AVERAGE_POOL_2D": {0: 4},
    "BATCH_MATMUL": {0: None, 1: None},
    "CONV_2D": {0: 4, 1: 4},
    "CONV_3D": {0: 5, 1: 5},
    "DEPTHWISE_CONV_2D": {0: 4, 1: 4},
    "FULLY_CONNECTED": {0: None, 1: 2},
    "GATHER": {0: None, 1: None},
    "MAX_POOL_2D": {0: 4},
    "MEAN": {0: None, 1: None},
    "PAD": {0: None, 1: None},
    "PRELU": {0: None, 1: None},
    "REDUCE_MAX": {0: None, 1: None},
    "REDUCE_MIN": {0: None, 1: None},
    "RESHAPE": {0: None},
    "RESIZE_BILINEAR": {0: 4, 1: 1},
    "RESIZE_NEAREST_NEIGHBOR": {0: 4, 1: 1},
    "SOFTMAX": {0: None},
    "SUM": {0: None, 1: None},
    "TRANSPOSE": {0: None, 1: None},
    "TRANSPOSE_CONV": {0: None, 1: 4, 2: 4},
    "UNIDIRECTIONAL_SEQUENCE_LSTM": {0: 3},
}
_OUTPUT_RANKS = {
    "AVERAGE_POOL_2D": 4,
    "CONV_2D": 4,
    "CONV_3D": 5,
    "DEPTHWISE_CONV_2D": 4,
    "MAX_POOL_2D": 4,
    "RESIZE_BILINEAR": 4,
    "RESIZE_NEAREST_NEIGHBOR": 4,
    "TRANSPOSE_CONV": 4,
}
_OPTIONS = {
    "AVERAGE_POOL_2D": ("filter_height", "filter_width"),
    "MAX_POOL_2D": ("filter_height", "filter_width"),
    "TRANSPOSE_CONV": ("stride_h", "stride_w"),
}
# Matrix products whose operands must have rows and columns.
_MATRICES = ("BATCH_MATMUL",)
# Operators that make nothing, and those that have no inputs.
_WITHOUT_OUTPUTS = ("ASSIGN_VARIABLE", "CALL_ONCE")
_WITHOUT_INPUTS = ("CALL_ONCE", "VAR_HANDLE")


def problem(operator):
    """Say why no interpreter could execute an operator.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

    Returns:
        Words that follow the operator's name; `None` where it is well formed.
    """
    if not operator.outputs and operator.name not in _WITHOUT_OUTPUTS:
        return "has no output"
    takes_inputs = not operator.is_custom and operator.name not in _WITHOUT_INPUTS
    if takes_inputs and all(tensor is None for tensor in operator.inputs):
        return "has no input"
    for position, rank in _INPUTS.get(operator.name, {}).items():
        tensor = operator.inputs[position] if position < len(operator.inputs) else None
        if tensor is None:
            return f"lacks its input {position}"
        if rank is not None and len(tensor.shape) != rank:
            return f"has an input {position} of {len(tensor.shape)} dimensions instead of {rank}"
        if operator.name in _MATRICES and len(tensor.shape) < 2:
            return f"has an input {position} that is no matrix"
        if rank is not None and 0 in tensor.shape:
            return f"has an empty input {position}"
    rank = _OUTPUT_RANKS.get(operator.name)
    if rank is not None and len(operator.outputs[0].shape) != rank:
        return f"has an output of {len(operator.outputs[0].shape)} dimensions instead of {rank}"
    if rank is not None and 0 in operator.outputs[0].shape:
        return "has an empty output"
    missing = [name for name in _OPTIONS.get(operator.name, ()) if name not in operator.options]
    return f"lacks its option {missing[0]}" if missing else None
