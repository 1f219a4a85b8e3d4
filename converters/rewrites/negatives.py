"""Minus signs as products."""

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten


class Negatives(Rewrite):
    """-1 * x for `keras.ops.negative(x)`, which the converter leaves in float."""

    forms = ("negative",)

    def is_needed(self, profile):
        """For every integer target."""
        return not profile.is_float

    def replacement(self, call):
        """Multiply by minus one."""
        return Rewritten(lambda inputs: keras.ops.multiply(inputs, -1.0), name=call.name)
