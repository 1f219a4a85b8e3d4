"""Repeated pixels as RESIZE_NEAREST_NEIGHBOR."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, Rewritten, lacks, limit
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call

_RANK_OF_TILE = 5


class UpsamplingNearest(Rewrite):
    """UpSampling1D and UpSampling2D by nearest neighbour as one resize.

    The converter turns these layers into RESHAPE and a TILE of five dimensions. Resizing by a
    whole factor repeats the same pixels.
    """

    layers = (keras.layers.UpSampling1D, keras.layers.UpSampling2D)
    keeps_tensors = True

    def is_needed(self, profile: Profile) -> bool:
        """Return whether TILE is not supported, or not with five dimensions."""
        rank = limit(profile, "TILE", "max_rank")
        return lacks(profile, "TILE") or (rank is not None and rank < _RANK_OF_TILE)

    def replacement(self, call: Call) -> Callable | None:
        """Return a resize by the layer's factors."""
        layer = call.operation
        if isinstance(layer, keras.layers.UpSampling1D):
            return _resize(call, (layer.size, 1))
        if layer.interpolation != "nearest" or layer.data_format != "channels_last":
            return None
        return _resize(call, layer.size)


def _resize(call, factors):
    shape, result = call.inputs[0].shape[1:], call.output.shape[1:]
    height, width, channels = (shape[0], 1, shape[1]) if len(shape) == 2 else shape

    def resize(inputs):
        inputs = keras.ops.reshape(inputs, (-1, height, width, channels))
        size = (height * factors[0], width * factors[1])
        options = {"interpolation": "nearest", "data_format": "channels_last"}
        return keras.ops.reshape(keras.ops.image.resize(inputs, size, **options), (-1, *result))

    return Rewritten(resize, name=call.name)
