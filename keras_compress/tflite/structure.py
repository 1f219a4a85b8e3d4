"""Determines the kind of a file: integer, float, dynamic range, or integer with float islands."""

import dataclasses
import enum

from keras_compress.tflite import operators
from keras_compress.tflite.operators import OperandRole


class Kind(enum.StrEnum):
    """How a file computes."""

    INTEGER = "integer"
    FLOAT = "float"
    DYNAMIC_RANGE = "dynamic_range"


@dataclasses.dataclass(frozen=True)
class Structure:
    """How a graph computes.

    Args:
        kind: A `Kind`.
        boundary: Indices of operators that only convert the graph's inputs and outputs.
        islands: Groups of operators that compute in float between integer ones, each with the
            DEQUANTIZE and QUANTIZE around it, in the order of execution.
    """

    kind: Kind
    boundary: frozenset[int]
    islands: tuple[tuple, ...]


def read(graph):
    """Determine how a graph computes.

    Args:
        graph: A `keras_compress.tflite.flatbuffer.Subgraph`.

    Returns:
        A `Structure`.
    """
    in_float = [op for op in graph.operators if _computes_in_float(op)]
    in_integers = any(_computes_in_integers(op) for op in graph.operators)
    boundary = _boundary(graph)
    if not in_float:
        return Structure(Kind.INTEGER, boundary, ())
    if not in_integers:
        hybrid = any(_is_hybrid(op) for op in in_float)
        return Structure(Kind.DYNAMIC_RANGE if hybrid else Kind.FLOAT, boundary, ())
    return Structure(Kind.INTEGER, boundary, _islands(graph, boundary))


def shape_operators(graph):
    """Return the operators that compute with shapes only: SHAPE and operators on its results.

    Returns:
        Frozenset of operator indices.
    """
    shapes: set[int] = set()
    indices = set()
    for op in graph.operators:
        inputs = {t.index for t in op.inputs if t is not None and not t.is_constant}
        if op.name == "SHAPE" or (inputs and shapes.issuperset(inputs)):
            shapes.update(tensor.index for tensor in op.outputs)
            indices.add(op.index)
    return frozenset(indices)


def foldable_operators(graph):
    """Return the operators whose results only serve as the target shape of a RESHAPE.

    Returns:
        Frozenset of operator indices, which a compiler that knows all shapes removes.
    """
    shapes, needed = shape_operators(graph), set()
    graph_outputs = {tensor.index for tensor in graph.outputs}
    for op in reversed(graph.operators):
        readers = [r for t in op.outputs for r in graph.consumers.get(t.index, ())]
        other_uses = [r for r in readers if r.index not in shapes and r.name != "RESHAPE"]
        other_uses += [t for t in op.outputs if t.index in graph_outputs]
        if op.index in shapes and (other_uses or any(r.index in needed for r in readers)):
            needed.add(op.index)
    return shapes - needed


def _computes_in_float(op):
    converts = operators.row(op.name).is_conversion
    return not converts and any(t.dtype.is_float for t in operators.feature_maps(op))


def _computes_in_integers(op):
    quantized = any(t.dtype.is_integer and t.scales.size for t in op.outputs)
    return quantized and not operators.row(op.name).is_conversion


def _is_hybrid(op):
    weights, data = operators.weights(op), operators.data(op)
    if weights is None or data is None:
        return False
    return weights.dtype.is_integer and data.dtype.is_float


def _boundary(graph):
    """Return the indices of operators that only convert one of the graph's inputs or outputs."""
    graph_inputs = {tensor.index for tensor in graph.inputs}
    graph_outputs = {tensor.index for tensor in graph.outputs} - graph.consumers.keys()
    conversions = (op for op in graph.operators if operators.row(op.name).is_conversion)
    return frozenset(
        op.index
        for op in conversions
        if (op.name == "QUANTIZE" and _source(op) in graph_inputs)
        or op.outputs[0].index in graph_outputs
    )


def _source(op):
    return operators.required(op, OperandRole.DATA).index


def _islands(graph, boundary):
    """Group the operators that share float feature maps."""
    members = [op for op in graph.operators if _touches_float(op) and op.index not in boundary]
    links: dict[int, set[int]] = {op.index: set() for op in members}
    for op in members:
        for tensor in op.outputs:
            for reader in graph.consumers.get(tensor.index, ()) if tensor.dtype.is_float else ():
                if reader.index in links:
                    links[op.index].add(reader.index)
                    links[reader.index].add(op.index)
    islands = (tuple(graph.operators[i] for i in group) for group in _connected(links))
    return tuple(island for island in islands if any(_computes_in_float(op) for op in island))


def _connected(links):
    """Yield the groups of linked indices, each in ascending order, by their first index."""
    seen: set[int] = set()
    for start in links:
        if start in seen:
            continue
        group, pending = [], [start]
        seen.add(start)
        while pending:
            index = pending.pop()
            group.append(index)
            pending += links[index] - seen
            seen |= links[index]
        yield sorted(group)


def _touches_float(op):
    return any(tensor.dtype.is_float for tensor in operators.feature_maps(op))
