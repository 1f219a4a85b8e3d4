"""Weights: scales and widths that the target does not support, and more than fit its cache."""

from keras_compress.edge_profiles.remedies import remedy
from keras_compress.edge_profiles.target_finding import Severity
from keras_compress.tflite import operators
from keras_compress.tflite.model import DECODE
from keras_compress.tflite.operators import OperandRole


def per_channel_dense(case):
    """Yield a finding about per-channel Dense kernels that the operator table does not cover."""
    profile = case.profile
    if profile.per_channel_dense or case.is_float or case.is_too_wide:
        return
    dense = [p.operator for p in case.placements if _has_dense_scales(p)]
    if dense:
        yield case.finding(
            "per_channel_dense",
            Severity.WARNING,
            f"{len(dense)} Dense kernel{'s have' if len(dense) > 1 else ' has'} one scale for "
            f"each unit, and it is not known whether {profile.engine} supports more than one.",
            remedy("FULLY_CONNECTED", "per_channel"),
            dense[0],
        )


def _has_dense_scales(placed):
    """Return whether a Dense kernel has several scales that no other finding reports."""
    if placed.operator.name != "FULLY_CONNECTED":
        return False
    reported = any(limit == "per_channel" for limit, _ in placed.reasons)
    weights = operators.required(placed.operator, OperandRole.WEIGHTS)
    return weights.scales.size > 1 and not reported


def encoded_weights(case):
    """Yield a finding about weights that are compressed for a runtime other than the target's."""
    decoders = [op for op in case.graph.operators if op.name == DECODE]
    if decoders and DECODE not in case.profile.operators:
        yield case.finding(
            "encoded_weights",
            Severity.ERROR,
            f"{len(decoders)} weight tensors are compressed for TFLite Micro ({DECODE}), which "
            f"{case.profile.engine} cannot decode.",
            "Use the dense file that the compressed one was made from.",
            decoders[0],
        )


def narrow_weights(case):
    """Yield a finding about the first weights of a width that the target does not support."""
    supported = {8, 16, 32, 64, *case.profile.weight_bits}
    for op in case.graph.operators:
        for tensor in op.inputs:
            narrow = tensor is not None and tensor.dtype.is_integer
            if narrow and tensor.dtype.bits not in supported:
                yield case.finding(
                    f"{tensor.dtype}_weights",
                    Severity.ERROR,
                    f"{op.name} has {tensor.dtype} weights, which the target's tools do not take.",
                    f"Convert for the target: kc.convert(model, profile={case.profile.name!r}), or "
                    f"compress with kc.Quantization(weight_bits={case.profile.weight_bits[0]}).",
                    op,
                )
                return


def streamed_weights(case):
    """Yield a finding about more weights than fit the accelerator's cache."""
    cache = case.profile.parameter_cache_bytes
    mapped = [placed.operator for placed in case.mapped()]
    stored = {t.index: t.stored.size for op in mapped for t in op.inputs if t is not None}
    size = sum(stored.values())
    if cache is not None and size > cache:
        yield case.finding(
            "parameters_streamed",
            Severity.WARNING,
            f"The mapped operators hold {size:,} bytes of weights, and about {cache:,} stay "
            f"on {case.profile.engine}: the rest is sent to it on every inference.",
            "Use a smaller network, or divide it among several accelerators.",
        )
