"""LayerNormalization without a NEG operator."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class LayerNormalization(Rewrite):
    """LayerNormalization over channels as differences and products.

        y = (x - mean) * rsqrt(mean((x - mean)^2) + epsilon) * gamma + beta

    In Keras's own form, the converter leaves a NEG in float. The intermediate tensors have no
    trained ranges in either form.
    """

    layers = (keras.layers.LayerNormalization,)
    keeps_tensors = True

    def is_needed(self, profile: Profile) -> bool:
        """Return whether the target is an integer target of 8 bits: RSQRT has no 16-bit form."""
        return not profile.is_float and profile.activation_bits == 8

    def replacement(self, call: Call) -> Callable | None:
        """Return the function as differences and products."""
        layer = call.operation
        if type(layer) is not keras.layers.LayerNormalization:
            return None
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        if [axis % len(call.output.shape) for axis in axes] != [len(call.output.shape) - 1]:
            return None
        gamma = keras.ops.convert_to_numpy(layer.gamma) if layer.scale else None
        beta = keras.ops.convert_to_numpy(layer.beta) if layer.center else None

        def normalize(inputs):
            mean = keras.ops.mean(inputs, -1, keepdims=True)
            centred = keras.ops.subtract(inputs, mean)
            variance = keras.ops.mean(keras.ops.multiply(centred, centred), -1, keepdims=True)
            result = keras.ops.multiply(centred, keras.ops.rsqrt(variance + layer.epsilon))
            result = result if gamma is None else keras.ops.multiply(result, gamma)
            return result if beta is None else keras.ops.add(result, beta)

        return Rewritten(normalize, name=call.name)
