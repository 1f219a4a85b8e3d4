"""LeakyReLU as PRELU with equal slopes."""

from collections.abc import Callable

import keras
import numpy as np

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, apart, lacks, part
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call

# The default slope of keras.activations.leaky_relu.
_DEFAULT_SLOPE = 0.2


class LeakyRelu(Rewrite):
    """LeakyReLU as a PReLU whose slopes are all the same, which is the same function."""

    layers = (keras.layers.LeakyReLU,)
    activations = ("leaky_relu",)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether LEAKY_RELU is not supported and PRELU is."""
        return lacks(profile, "LEAKY_RELU") and not lacks(profile, "PRELU")

    def replacement(self, call: Call) -> Callable | None:
        """Return a PReLU with the layer's slope."""
        layer = call.operation
        if isinstance(layer, keras.layers.LeakyReLU):
            prelu = _prelu(layer.negative_slope, call.output.shape)
            return Rewritten(prelu, [prelu], name=call.name)
        prelu = _prelu(getattr(layer, "negative_slope", _DEFAULT_SLOPE), call.output.shape)
        rewritten = apart(layer, self.activations, prelu, call.inputs[0].shape)
        if rewritten is not None:
            rewritten.parts.append(prelu)
        return rewritten


def _prelu(slope, shape):
    layer = keras.layers.PReLU(shared_axes=list(range(1, len(shape) - 1)))
    slopes = np.full((1,) * (len(shape) - 2) + (shape[-1],), slope, "float32")
    return part(layer, shape, [slopes])
