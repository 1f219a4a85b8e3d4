"""Detects operators that no interpreter can execute: inputs are missing or of the wrong rank."""

from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator


def problem(operator: Operator) -> str | None:
    """Return why no interpreter can execute an operator.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

    Returns:
        Text that follows the operator's name; `None` if the operator is well formed.
    """
    row = operators.row(operator.name)
    problems = (_absence(operator, row), *_inputs(operator, row), *_outputs(operator, row))
    missing = [name for name in row.options if name not in operator.options]
    options = [f"lacks its option {name}" for name in missing]
    return next((problem for problem in (*problems, *options) if problem), None)


def _absence(operator, row):
    """Return which kind of tensor, input or output, an operator lacks altogether."""
    if row.has_output and not operator.outputs:
        return "has no output"
    if row.has_inputs and not operator.is_custom and all(t is None for t in operator.inputs):
        return "has no input"
    return None


def _inputs(operator, row):
    """Yield the problem with each input, `None` if there is none."""
    tensors = (*operator.inputs, *[None] * len(row.inputs))
    for operand, tensor in zip(row.inputs, tensors, strict=False):
        role = operand.role.replace("_", " ")
        if tensor is not None:
            yield _shape(tensor, f"its {role}", operand.rank, operand.least_rank)
        elif not operand.is_optional:
            yield f"lacks its {role}"


def _outputs(operator, row):
    """Yield the problem with the first output, `None` if there is none."""
    if operator.outputs:
        yield _shape(operator.outputs[0], "its output", row.output_rank)


def _shape(tensor, what, rank, least_rank=0):
    """Return why kernels do not accept the shape of a tensor."""
    dimensions = len(tensor.shape)
    if rank is None:
        few = dimensions < least_rank
        return f"has {dimensions} dimensions in {what}, fewer than {least_rank}" if few else None
    if dimensions != rank:
        return f"has {dimensions} dimensions in {what} instead of {rank}"
    return f"has no elements in {what}" if 0 in tensor.shape else None
