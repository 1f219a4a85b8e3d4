"""Negation as a product."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class Negatives(Rewrite):
    """-1 * x for `keras.ops.negative(x)`, which the converter leaves in float."""

    forms = ("negative",)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the target computes in integers."""
        return not profile.is_float

    def replacement(self, call: Call) -> Callable | None:
        """Return a multiplication by minus one."""
        return Rewritten(lambda inputs: keras.ops.multiply(inputs, -1.0), name=call.name)
