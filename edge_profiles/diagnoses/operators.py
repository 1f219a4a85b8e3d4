"""Operators that the target's engine does not support, and the first one that ends a mapping."""

from keras_compress.edge_profiles.operator_mapping import Where
from keras_compress.edge_profiles.remedies import remedy
from keras_compress.edge_profiles.target_finding import Severity
from keras_compress.tflite import operators

_CODES = {
    "hybrid": "dynamic_range",
    "input_types": "unsupported_type",
    "max_version": "operator_version",
    "types": "unsupported_type",
    "unsupported": "unsupported_operator",
    "weight_types": "unsupported_weight_type",
}
_TYPE_LIMITS = ("types", "input_types", "hybrid", "weight_types", "quantized")


def refused_operators(case):
    """Yield findings about unsupported operators, one for each kind in each layer."""
    skipped = {op.index for island in case.structure.islands for op in island}
    reported = set()
    cut = _first_unmapped(case)
    if cut is not None:
        yield _cut(case, cut)
    for placed in case.placements:
        op = placed.operator
        if not placed.reasons or placed.reasons[0][0] == "behind" or op.index in skipped:
            continue
        kind = "shapes" if op.index in case.shape_operators else (op.name, placed.reasons[0][0])
        key = (kind, case.layer_of(op))
        if key in reported or placed is cut or _is_reported(case, placed):
            continue
        reported.add(key)
        yield _refused(case, placed)


def _is_reported(case, placed):
    """Return whether a finding about the whole file, or its inputs and outputs, covers it."""
    op = placed.operator
    by_type = placed.reasons[0][0] in _TYPE_LIMITS
    as_float = case.is_float or op.index in case.structure.boundary
    if not case.profile.float_ops and as_float and by_type:
        return True
    return by_type and case.is_too_wide and any(t.dtype == "int16" for t in op.outputs)


def _fix(case, operator, limit):
    """Return the remedy: if an operator is a by-product of a construct, that of the construct."""
    producers = case.graph.producers
    inputs = [t.index for t in operator.inputs if t is not None]
    before = [producers[i].index for i in inputs if i in producers]
    if case.shape_operators.intersection([operator.index, *before]):
        return remedy("SHAPE")
    island = case.island_of.get(operator.index, ())
    inner = next((op for op in island if not operators.row(op.name).is_conversion), None)
    if inner is not None:
        return remedy(inner.name)
    unsupported = case.unsupported_in.get(case.layer_of(operator))
    if unsupported:
        return remedy(unsupported.name)
    if limit == "types" and all(t.dtype == "int8" for t in operator.outputs):
        limit = "unsupported"  # No other conversion brings a type that the target takes.
    return remedy(operator.name, limit)


def _refused(case, placed):
    op, (limit, explanation) = placed.operator, placed.reasons[0]
    code = _CODES.get(limit, "operator_limit")
    if limit == "per_channel":
        code = "per_channel_dense" if op.name == "FULLY_CONNECTED" else "per_channel"
    end = f"and runs on {placed.runs_on}" if placed.runs_on else "and nothing else runs it"
    explanations = " and ".join([explanation, *(other for _, other in placed.reasons[1:])])
    message = f"{op.name} {explanations}; {case.profile.engine} does not take it, {end}."
    return case.finding(code, _severity(placed), message, _fix(case, op, limit), op)


def _first_unmapped(case):
    """Return the placement that ends the mapping on a target with one subgraph, or `None`."""
    if not case.profile.one_subgraph or case.is_float or case.is_too_wide:
        return None
    outside = [p for p in case.placements if p.where is not Where.ENGINE]
    leading = case.structure.boundary
    return next((p for p in outside if p.operator.index not in leading), None)


def _cut(case, placed):
    behind = [p for p in case.placements if p.reasons and p.reasons[0][0] == "behind"]
    share = (placed.macs + sum(p.macs for p in behind)) / (case.total_macs or 1)
    limit, explanation = placed.reasons[0]
    return case.finding(
        "first_unmapped_operator",
        _severity(placed),
        f"{placed.operator.name} {explanation}. It stops the mapping to {case.profile.engine}: it "
        f"and {len(behind)} operators behind it run on the CPU, {share:.0%} of the MACs.",
        _fix(case, placed.operator, limit),
        placed.operator,
    )


def _severity(placed):
    return Severity.ERROR if placed.where is Where.NOWHERE else Severity.FALLBACK
