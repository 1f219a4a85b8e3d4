"""Embedding: GATHER from a table of (tokens, features), one scale for the table."""

import keras

from keras_compress.layers.base import Kernel, LayerType


class Embedding(LayerType):
    """`keras.layers.Embedding`; its lookup uses one scale for the whole table."""

    applies_activation = False
    is_lookup = True
    propagation = "embedding"

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (Kernel("embeddings", channel_axes=(1,), permutation=(0, 1), per_channel=False),)
