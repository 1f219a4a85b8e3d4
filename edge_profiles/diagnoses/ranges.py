"""Feature maps with an empty range."""

from keras_compress.edge_profiles.target_finding import Severity

# The step of a range of 0.00003: the range of a working layer is never so small.
_DEAD = 1e-7


def dead_ranges(case):
    """Yield a finding about the first feature map of empty range, on which some kernels fail."""
    for op in case.graph.operators:
        for tensor in op.outputs:
            if tensor.scales.size and not tensor.is_constant and min(tensor.scales) < _DEAD:
                yield case.finding(
                    "degenerate_scale",
                    Severity.WARNING,
                    f"{op.name} has an output of scale {float(min(tensor.scales)):.1e}: its "
                    "values are a constant, and some kernels fail or abort on such a scale.",
                    "Train the layer or remove it, and calibrate with samples that reach it.",
                    op,
                )
                return
