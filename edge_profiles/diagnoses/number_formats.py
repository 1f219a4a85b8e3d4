"""Number formats: files in float, widths that the target does not support, float islands."""

from keras_compress.edge_profiles.remedies import remedy
from keras_compress.edge_profiles.target_finding import Severity
from keras_compress.tflite import operators
from keras_compress.tflite.structure import Kind

_INTEGER_FIX = (
    "Convert to the target's integers with a representative dataset: "
    "kc.convert(model, profile={name!r}, representative_dataset=x)."
)


def float_file(case):
    """Yield a finding about a file that computes in float on an integer target."""
    profile = case.profile
    if not case.is_float or profile.float_ops:
        return
    dynamic = case.structure.kind is Kind.DYNAMIC_RANGE
    severity = case.severity(case.graph.operators)
    if profile.integer_only:
        severity = Severity.ERROR
    what = "has integer weights but computes in float (dynamic range)" if dynamic else ""
    yield case.finding(
        "dynamic_range" if dynamic else "float_model",
        severity,
        f"The file {what or 'computes in float'}; {profile.engine} is meant for "
        f"{profile.input_type}.",
        _INTEGER_FIX.format(name=profile.name),
    )


def wide_activations(case):
    """Yield a finding about 16-bit activations on a target that supports 8-bit ones only."""
    if case.is_too_wide and not case.is_float:
        yield case.finding(
            "activation_bits",
            case.severity(case.graph.operators),
            f"The file has 16-bit activations, which {case.profile.engine} does not take.",
            _INTEGER_FIX.format(name=case.profile.name),
        )


def float_islands(case):
    """Yield a finding for each group of operators that compute in float between integer ones."""
    for island in () if case.profile.float_ops else case.structure.islands:
        inner = [op for op in island if not operators.row(op.name).is_conversion]
        chain = ", ".join(op.name for op in island)
        yield case.finding(
            "float_island",
            case.severity(island),
            f"{len(inner)} operator{'s' if len(inner) > 1 else ''} inside the integer file "
            f"compute{'' if len(inner) > 1 else 's'} in float: {chain}.",
            remedy(inner[0].name),
            inner[0],
        )
