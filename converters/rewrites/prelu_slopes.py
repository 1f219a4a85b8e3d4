"""PReLU whose slopes vary over positions."""

from collections.abc import Callable

import keras
import numpy as np

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, limit, part
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class PreluSlopes(Rewrite):
    """PReLU with one slope per channel if slopes are equal over positions, else as four operators.

        prelu(x) = max(x, 0) + slope * (x - max(x, 0))

    A minimum in place of the difference would give wrong results: MINIMUM has one scale for input
    and output, and the converter gives its input the output's range, which has no positive half.
    """

    layers = (keras.layers.PReLU,)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether PRELU only supports slopes that vary over channels."""
        return limit(profile, "PRELU", "alpha_per_channel") is True

    def replacement(self, call: Call) -> Callable | None:
        """Return a PReLU with shared slopes, or the function as four operators."""
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
    """Return a layer that computes a built PReLU by RELU, SUB, MUL and ADD."""
    slopes = np.asarray(layer.get_weights()[0])

    def compute(inputs):
        above = keras.ops.relu(inputs)
        below = keras.ops.multiply(keras.ops.subtract(inputs, above), slopes)
        return keras.ops.add(above, below)

    return Rewritten(compute, name=layer.name)
