"""PReLU whose slopes vary over places."""

from collections.abc import Callable

import keras
import numpy as np

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, limit, part
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class PreluSlopes(Rewrite):
    """PReLU with one slope a channel where slopes are equal over places, else written out.

        prelu(x) = max(x, 0) + slope * (x - max(x, 0))

    A minimum in place of the difference would spoil the file: MINIMUM has one scale for input and
    output, and the converter gives its input the output's range, which has no positive half.
    """

    layers = (keras.layers.PReLU,)

    def is_needed(self, profile: Profile) -> bool:
        """Where PRELU takes slopes that vary over channels only."""
        return limit(profile, "PRELU", "alpha_per_channel") is True

    def replacement(self, call: Call) -> Callable | None:
        """Share the slopes, or write the function out."""
        layer = call.operation
        slopes = np.asarray(layer.get_weights()[0])
        places = range(slopes.ndim - 1)
        shared = slopes[(slice(1),) * len(places)]
        if shared.shape == slopes.shape:
            return None
        if not (slopes == shared).all():
            return written_out(layer)
        prelu = keras.layers.PReLU(shared_axes=[axis + 1 for axis in places])
        prelu = part(prelu, call.inputs[0].shape, [shared])
        return Rewritten(prelu, [prelu], name=call.name)


def written_out(layer: keras.layers.PReLU) -> Rewritten:
    """Return what computes a built PReLU by RELU, SUB, MUL and ADD."""
    slopes = np.asarray(layer.get_weights()[0])

    def compute(inputs):
        above = keras.ops.relu(inputs)
        below = keras.ops.multiply(keras.ops.subtract(inputs, above), slopes)
        return keras.ops.add(above, below)

    return Rewritten(compute, name=layer.name)
