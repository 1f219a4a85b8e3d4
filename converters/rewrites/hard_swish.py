"""hard_swish as additions and products."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, apart, lacks
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class HardSwish(Rewrite):
    """hard_swish(x) = (x / 6) * relu6(x + 3), in that order.

    The converter recognizes HARD_SWISH in other orders.
    """

    activations = ("hard_silu", "hard_swish")

    def is_needed(self, profile: Profile) -> bool:
        """Return whether HARD_SWISH is not supported, or activations have 16 bits."""
        return lacks(profile, "HARD_SWISH") or profile.activation_bits == 16

    def replacement(self, call: Call) -> Callable | None:
        """Return the function as additions and products."""
        if not call.inputs:
            return None
        return apart(call.operation, self.activations, _hard_swish, call.inputs[0].shape)


def _hard_swish(inputs):
    gate = keras.ops.relu6(keras.ops.add(inputs, 3.0))
    return keras.ops.multiply(keras.ops.multiply(inputs, 1 / 6), gate)
