"""One scale for weights whose channels differ."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.layer_statistics import spread
from keras_compress.analysis.result import Cause

_FACTOR = 2.0


class PerTensorWeights(CauseFinder):
    """A kernel with a single scale has a channel of twice the median channel."""

    def find(self, statistics):
        """Return one cause for each such kernel."""
        causes = []
        for kernel in statistics.weights:
            ratio = spread(kernel.channels)
            if kernel.bits > 8 or kernel.scales > 1 or ratio < _FACTOR:
                continue
            kind = "depthwise kernel" if kernel.is_depthwise else "kernel"
            causes.append(
                Cause(
                    code="per_tensor_weights",
                    layer=kernel.layer,
                    bits_lost=math.log2(ratio),
                    message=f"The {kind} of {kernel.layer!r} has one scale for "
                    f"{kernel.channels.size} channels, of which the largest is {ratio:.0f} times "
                    "the median.",
                    remedy="one scale per channel (per_channel=True, per_channel_dense=True), or "
                    "kc.equalize(model) where the target has none.",
                    source=statistics.source,
                )
            )
        return causes
