"""PReLU with 16-bit activations, for which the converter has no PRELU."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite
from keras_compress.converters.rewrites.prelu_slopes import written_out
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class Prelu16Bits(Rewrite):
    """prelu(x) = max(x, 0) + slope * (x - max(x, 0)), as four operators."""

    layers = (keras.layers.PReLU,)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether activations have 16 bits."""
        return profile.activation_bits == 16

    def replacement(self, call: Call) -> Callable | None:
        """Return the function as four operators."""
        return written_out(call.operation)
