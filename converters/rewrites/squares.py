"""Squares as products."""

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten


class Squares(Rewrite):
    """x * x for `keras.ops.square(x)`, which the converter leaves in float."""

    forms = ("square",)

    def is_needed(self, profile):
        """For every integer target."""
        return not profile.is_float

    def replacement(self, call):
        """Multiply by itself."""
        return Rewritten(lambda inputs: keras.ops.multiply(inputs, inputs), name=call.name)
