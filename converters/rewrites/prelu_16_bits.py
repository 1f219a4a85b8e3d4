"""PReLU with 16-bit activations, for which the converter has no PRELU."""

import keras

from keras_compress.converters.rewrites.base import Rewrite
from keras_compress.converters.rewrites.prelu_slopes import written_out


class Prelu16Bits(Rewrite):
    """prelu(x) = max(x, 0) + slope * (x - max(x, 0)), as four operators."""

    layers = (keras.layers.PReLU,)

    def is_needed(self, profile):
        """Where activations have 16 bits."""
        return profile.activation_bits == 16

    def replacement(self, call):
        """Write the function out."""
        return written_out(call.operation)
