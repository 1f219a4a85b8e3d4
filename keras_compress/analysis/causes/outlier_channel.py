"""One channel sets the range of all."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.layer_statistics import spread
from keras_compress.analysis.result import Cause

_FACTOR = 8.0
_FEWEST_CHANNELS = 4


class OutlierChannel(CauseFinder):
    """The largest channel of an activation is eight times the median channel.

    Activations have one scale for all channels, so the others keep few of its levels.
    """

    def find(self, statistics):
        """Return one cause for each such activation."""
        causes, seen = [], set()
        for tensor in statistics.activations:
            channels = tensor.observed.channels
            if tensor.range is None or tensor.is_fixed or len(channels) < _FEWEST_CHANNELS:
                continue
            # A range that leaves the outlier out does not suffer from it.
            covered = channels.clip(max=max(map(abs, tensor.range)))
            ratio = spread(covered)
            if ratio < _FACTOR:
                continue
            channel = int(channels.argmax())
            # Pooling and additions pass an outlier on: the layer that makes it is the cause.
            if (channel, len(channels)) in seen:
                continue
            seen.add((channel, len(channels)))
            causes.append(
                Cause(
                    code="outlier_channel",
                    layer=tensor.layer,
                    bits_lost=math.log2(ratio),
                    message=f"The range of {tensor.layer!r} is dominated by channel {channel}, "
                    f"which is {ratio:.0f} times the median channel.",
                    remedy="kc.equalize(model, x) before kc.compress (equalization); or "
                    "16-bit activations.",
                    source=statistics.source,
                )
            )
        return causes
