"""Squares as products."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class Squares(Rewrite):
    """x * x for `keras.ops.square(x)`, which the converter leaves in float."""

    forms = ("square",)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the target computes in integers."""
        return not profile.is_float

    def replacement(self, call: Call) -> Callable | None:
        """Return a multiplication of the input by itself."""
        return Rewritten(lambda inputs: keras.ops.multiply(inputs, inputs), name=call.name)
