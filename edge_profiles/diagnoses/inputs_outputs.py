"""Inputs and outputs: inputs without a fixed shape, and types that differ from the profile's."""

from keras_compress.edge_profiles.target_finding import Severity


def dynamic_inputs(case):
    """Yield a finding about inputs that have no fixed shape."""
    dynamic = [t for t in case.graph.inputs if -1 in t.shape_signature]
    if not dynamic:
        return
    shapes = ", ".join(str(list(t.shape_signature)) for t in dynamic)
    batch_only = all(-1 not in t.shape_signature[1:] for t in dynamic)
    refused = case.profile.static_shapes
    consequence = f"{case.profile.engine} refuses it" if refused else "it runs as stored"
    yield case.finding(
        "dynamic_batch" if batch_only else "dynamic_shape",
        Severity.ERROR if refused else Severity.WARNING,
        f"An input has no fixed shape ({shapes}); {consequence}.",
        "Fix the batch: convert with kc.convert, or build with keras.Input(..., batch_size=1).",
    )


def types_of_ends(case):
    """Yield findings about inputs and outputs whose type differs from the profile's."""
    profile = case.profile
    if case.is_too_wide or (case.is_float and not profile.float_ops):
        return
    supported = {"int16"} if 16 in profile.activation_bits_supported else set()
    ends = {"input": case.graph.inputs, "output": case.graph.outputs}
    for kind, tensors in ends.items():
        expected = getattr(profile, f"{kind}_type")
        types = {str(t.dtype) for t in tensors if t.scales.size or t.dtype.is_float}
        others = sorted(types - supported - {expected})
        if not others:
            continue
        conversions = [case.graph.operators[i] for i in case.structure.boundary]
        yield case.finding(
            "float_io" if "float32" in others else "io_type",
            case.severity(conversions) if conversions else Severity.WARNING,
            f"The file's {kind} is {', '.join(others)}; the target is meant for {expected}.",
            f"Convert with {kind}_type={expected!r}, and quantize the data beforehand.",
        )
