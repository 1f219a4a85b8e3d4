"""Weights have one scale for each output channel, on the axis where channels lie."""

from keras_compress.converters.checks.base import Check


class ChannelAxes(Check):
    """Weights have one scale for each output channel, or a single one, as was asked for.

    The axis is 0 for convolutions and Dense layers, and 3 for depthwise convolutions.
    """

    def run(self, evidence):
        """Return one finding for each operator whose weights have other scales."""
        if not evidence.options.has_integer_weights:
            return []
        findings = []
        for weighted in evidence.weighted():
            weights = weighted.weights
            if weights.dtype.is_float:
                continue
            per_channel = (
                evidence.options.per_channel_dense
                if weighted.is_dense
                else evidence.options.per_channel
            )
            channels = weights.shape[weighted.axis] if per_channel else 1
            axis = weighted.axis if channels > 1 else None
            if weights.scales.size != channels or weights.axis != axis:
                found = f"{weights.scales.size} weight scales on axis {weights.axis}"
                findings.append(
                    weighted.finding("channel_axis", f"has {found}, not {channels} on {axis}.")
                )
        return findings
