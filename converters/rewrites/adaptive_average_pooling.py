"""Average pooling to a given size, without the windows that are not needed."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class AdaptiveAveragePooling(Rewrite):
    """Adaptive average pooling as one average pooling, or as the mean of each window.

    Keras pools with windows of two sizes everywhere, joins the results and picks some. An integer
    file stores all of them, and the input, on the grid of those that are picked: it clips values
    that lie outside, by 15 % of the output's range in a small network.
    """

    forms = ("adaptive_averages",)
    keeps_tensors = True

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the target computes in integers."""
        return not profile.is_float

    def replacement(self, call: Call) -> Callable | None:
        """Return the pooling; `None` where channels come first."""
        layer = call.operation
        if layer.data_format != "channels_last":
            return None
        before, after = call.inputs[0].shape[1:-1], call.output.shape[1:-1]
        if any(size % pooled for size, pooled in zip(before, after, strict=True)):
            return Rewritten(lambda inputs: _means(inputs, before, after), name=call.name)
        window = tuple(size // pooled for size, pooled in zip(before, after, strict=True))
        return Rewritten(
            lambda inputs: keras.ops.average_pool(inputs, window, window, "valid", "channels_last"),
            name=call.name,
        )


def _means(inputs, before, after):
    """Average each window of one axis after the other."""
    for axis, (size, pooled) in enumerate(zip(before, after, strict=True), 1):
        ends = [(i * size // pooled, -(-(i + 1) * size // pooled)) for i in range(pooled)]
        windows = [inputs[(slice(None),) * axis + (slice(*pair),)] for pair in ends]
        means = [keras.ops.mean(window, axis=axis, keepdims=True) for window in windows]
        inputs = keras.ops.concatenate(means, axis=axis)
    return inputs
