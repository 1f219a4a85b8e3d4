"""Detects operators that no interpreter can execute.

Inputs are missing, of the wrong rank or not computed yet, or a subgraph executes itself.
"""

import graphlib
from collections.abc import Iterator

from keras_compress.tflite import operators
from keras_compress.tflite.model import Model, Operator, Subgraph


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


def problems(model: Model) -> Iterator[tuple[Operator, str]]:
    """Yield each operator that no interpreter can execute, with the reason.

    Args:
        model: A model as `keras_compress.tflite.flatbuffer` reads it.

    Yields:
        Pairs of an operator and a text that follows its name.
    """
    for graph in model.subgraphs:
        for operator in graph.operators:
            reason = problem(operator)
            if reason:
                yield operator, reason
        yield from _out_of_order(graph)
    yield from _endless_calls(model)


def _out_of_order(graph: Subgraph):
    """Yield operators that read what only they or later ones write, or write a value again."""
    written = {tensor.index for tensor in graph.inputs}
    for operator in graph.operators:
        outputs = {tensor.index for tensor in operator.outputs}
        for tensor in (tensor for tensor in operator.inputs if tensor is not None):
            if tensor.index in outputs:
                yield operator, f"reads its own output {tensor.name!r}"
            elif tensor.index in graph.producers and tensor.index not in written:
                writer = graph.producers[tensor.index].name
                yield operator, f"reads {tensor.name!r} before {writer} writes it"
        for tensor in operator.outputs:
            if tensor.index in written:
                yield operator, f"writes {tensor.name!r}, which is written already"
        written |= outputs


def _endless_calls(model):
    """Yield an operator that executes a subgraph that is absent or that it is itself part of."""
    calls = [(g, op, i) for g in model.subgraphs for op in g.operators for i in op.subgraphs]
    for _, operator, index in calls:
        if not 0 < index < len(model.subgraphs):
            yield operator, f"executes subgraph {index} of {len(model.subgraphs)}"
            return
    sorter: graphlib.TopologicalSorter = graphlib.TopologicalSorter()
    for graph, _, index in calls:
        sorter.add(graph.index, index)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        inside = set(error.args[1])
        operator = next(op for g, op, i in calls if g.index in inside and i in inside)
        yield operator, "executes a subgraph that it is part of"


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
