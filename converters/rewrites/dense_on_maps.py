"""Dense on feature maps and sequences, as a pointwise convolution."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, limit, part
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class DenseOnMaps(Rewrite):
    """A Dense layer on inputs of rank 3 or 4 as a pointwise Conv1D or Conv2D."""

    layers = (keras.layers.Dense,)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether FULLY_CONNECTED takes vectors only."""
        return limit(profile, "FULLY_CONNECTED", "output_dimensions") is not None

    def replacement(self, call: Call) -> Callable | None:
        """Return a convolution with the same weights."""
        layer = call.operation
        kinds = {3: keras.layers.Conv1D, 4: keras.layers.Conv2D}
        shape = call.inputs[0].shape if call.inputs else ()
        if type(layer) is not keras.layers.Dense or len(shape) not in kinds:
            return None
        options = {"use_bias": layer.use_bias, "activation": layer.activation}
        kernel, *bias = layer.get_weights()
        kernel = kernel.reshape((1,) * (len(shape) - 2) + kernel.shape)
        conv = part(kinds[len(shape)](layer.units, 1, **options), shape, [kernel, *bias])
        return Rewritten(conv, [conv], name=call.name)
