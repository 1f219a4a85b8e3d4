"""Map each operator of a file to what executes it on a target, and say why it is not the engine."""

import dataclasses
import enum
from typing import Any

from keras_compress.tflite import macs, operators, structure
from keras_compress.tflite.operators import OperandRole


class Where(enum.StrEnum):
    """Where an operator executes."""

    ENGINE = "engine"
    FALLBACK = "fallback"
    FOLDED = "folded"
    NOWHERE = "nowhere"


@dataclasses.dataclass(frozen=True)
class OperatorMapping:
    """Where one operator executes.

    Args:
        operator: The operator.
        where: A `Where`.
        runs_on: Name of what executes it; empty if nothing does.
        reasons: Pairs (limit, explanation) of all reasons why it does not run on the engine. The
            limit is the name of a limit, `"unsupported"` for an operator that is not in the table,
            or `"behind"` for one after the first operator that is not mapped.
        optimized: Whether the engine has a fast kernel for it.
        macs: Its multiply-accumulate operations.
    """

    operator: Any
    where: Where
    runs_on: str
    reasons: tuple[tuple[str, str], ...] = ()
    optimized: bool = True
    macs: int = 0


def map_operators(graph, profile):
    """Map the operators of a graph.

    Args:
        graph: A `keras_compress.tflite.flatbuffer.Subgraph`.
        profile: A `Profile`.

    Returns:
        Tuple of `OperatorMapping` in the order of the operators.
    """
    if profile.folds_constants:
        mappings = _map_folded(graph, profile)
    else:
        mappings = [_map_one(op, profile) for op in graph.operators]
    if profile.one_subgraph:
        mappings = _cut(mappings, graph, profile)
    return tuple(mappings)


def problems(operator, table):
    """Return the limits of a table that an operator breaks, as (limit, explanation)."""
    if not table and not operator.is_custom:
        return ()
    rule = table.get(operator.name, None if operator.is_custom else table.get("*"))
    if rule is None:
        return (("unsupported", "is not in the target's table of operators"),)
    return rule.problems(operator)


def _map_folded(graph, profile):
    """Map the operators that are left after the compiler has removed those on shapes only."""
    folded = structure.foldable_operators(graph)
    constants = {t.index for i in folded for t in graph.operators[i].outputs}
    mappings = []
    for op in graph.operators:
        if op.index in folded:
            mappings.append(OperatorMapping(op, Where.FOLDED, "no processor (folded)"))
            continue
        kept = tuple(None if t is None or t.index in constants else t for t in op.inputs)
        mapping = _map_one(dataclasses.replace(op, inputs=kept), profile)
        mappings.append(dataclasses.replace(mapping, operator=op))
    return mappings


def _map_one(operator, profile):
    count = macs.count(operator)
    reasons = problems(operator, profile.operators)
    if not reasons:
        fast = _is_fast(operator, profile)
        return OperatorMapping(operator, Where.ENGINE, profile.engine, (), fast, count)
    rule = profile.operators.get(operator.name)
    fatal = rule is not None and any(limit in rule.fatal for limit, _ in reasons)
    if profile.unsupported == "error" or fatal:
        return OperatorMapping(operator, Where.NOWHERE, "", reasons, False, count)
    return _map_to_fallback(operator, profile.fallback, reasons, count)


def _is_fast(operator, profile):
    """Return whether the engine has a fast kernel; all are fast if the profile names no library."""
    if not profile.optimized_by:
        return True
    return bool(profile.optimized) and not problems(operator, profile.optimized)


def _map_to_fallback(operator, fallback, reasons, count):
    """Map an operator to the CPU that the engine falls back to."""
    cpu_problems = problems(operator, fallback.operators if fallback else {})
    if cpu_problems:
        return OperatorMapping(operator, Where.NOWHERE, "", cpu_problems, False, count)
    runs_on = fallback.engine if fallback else "CPU"
    return OperatorMapping(operator, Where.FALLBACK, runs_on, reasons, False, count)


def _cut(mappings, graph, profile):
    """Move every operator after the first one that is not on the engine off the engine too."""
    boundary = structure.read(graph).boundary
    behind: set[int] = set()
    cut = []
    for mapping in mappings:
        op = mapping.operator
        inputs = {tensor.index for tensor in op.inputs if tensor is not None}
        if mapping.where is Where.ENGINE and inputs & behind:
            reason = ("behind", f"lies behind an operator that {profile.engine} does not take")
            mapping = _map_to_fallback(op, profile.fallback, (reason,), mapping.macs)
        leads = (
            op.index in boundary and operators.required(op, OperandRole.DATA).index not in behind
        )
        if mapping.where is not Where.ENGINE and not leads:
            behind.update(tensor.index for tensor in op.outputs)
        cut.append(mapping)
    return cut
