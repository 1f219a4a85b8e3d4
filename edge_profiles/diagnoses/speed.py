"""Speed: operators without a fast kernel, and channel counts that are rounded up."""

import math

from keras_compress.edge_profiles.target_finding import Severity

# Smaller fractions of the MACs are not reported.
_REPORTED_WASTE = 0.1
_REPORTED_SLOW = 0.05


def slow_kernels(case):
    """Yield a finding about MACs for which the library has no fast kernel."""
    profile, total = case.profile, case.total_macs
    slow = [placed for placed in case.mapped() if not placed.optimized]
    share = sum(p.macs for p in slow) / total if total else 0.0
    if not profile.optimized or share < _REPORTED_SLOW:
        return
    worst = max(slow, key=lambda p: p.macs).operator
    types = ", ".join(sorted({str(t.dtype) for t in worst.outputs}))
    yield case.finding(
        "slow_kernel",
        Severity.WARNING,
        f"{share:.0%} of the MACs run on plain kernels: {profile.optimized_by} has none "
        f"for {worst.name} on {types} as it is here.",
        "Use int8 activations and the layer options that the profile's table lists.",
        worst,
    )


def padded_channels(case):
    """Yield a finding about MACs wasted on channel counts that are rounded up."""
    multiple, total = case.profile.channel_multiple, case.total_macs
    if "channel_multiple" in case.profile.unconfirmed:
        return
    waste = {}
    for placed in case.mapped():
        if placed.operator.name == "CONV_2D":
            channels = placed.operator.outputs[0].shape[-1]
            rounded = math.ceil(channels / multiple) * multiple
            waste[placed.operator] = placed.macs * (rounded / channels - 1)
    if not total or sum(waste.values()) < _REPORTED_WASTE * total:
        return
    worst = max(waste, key=waste.__getitem__)
    yield case.finding(
        "channel_padding",
        Severity.WARNING,
        f"Channels are computed in multiples of {multiple}: {sum(waste.values()) / total:.0%} "
        f"more work, most of it in a layer of {worst.outputs[0].shape[-1]} channels.",
        f"Use channel counts that are a multiple of {multiple} "
        f"(kc.shrink(..., round_to={multiple})).",
        worst,
    )
