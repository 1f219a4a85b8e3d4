"""Normalization to unit length by products alone."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class UnitNormalization(Rewrite):
    """UnitNormalization and `keras.ops.normalize` of order 2, as embeddings end with.

        y = x * rsqrt(sum(x * x) + epsilon^2)

    Keras squares with an operator that the converter leaves in float, and compares 1 / length with
    1 / epsilon, which no 8-bit grid holds. The intermediate tensors have no trained ranges in
    either form.
    """

    layers = (keras.layers.UnitNormalization,)
    forms = ("normalize",)
    keeps_tensors = True

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the target is an integer target of 8 bits: RSQRT has no 16-bit form."""
        return not profile.is_float and profile.activation_bits == 8

    def replacement(self, call: Call) -> Callable | None:
        """Return the function as products; `None` for another order than 2."""
        operation = call.operation
        if isinstance(operation, keras.layers.UnitNormalization):
            order, epsilon = 2, 1e-12
        else:
            order, epsilon = operation.order, operation.epsilon or keras.config.epsilon()
        if order != 2:
            return None

        def normalize(inputs):
            squares = keras.ops.multiply(inputs, inputs)
            total = keras.ops.sum(squares, axis=operation.axis, keepdims=True)
            return keras.ops.multiply(inputs, keras.ops.rsqrt(total + epsilon**2))

        return Rewritten(normalize, name=call.name)
