"""Embeddings."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.removal import Kept


class Embedding(PropagationRule):
    """Embedding: each feature of the table is a new channel."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the table's second axis."""
        layer = call.operation
        ids = channels.new(layer.output_dim, call.name)
        channels.bind(layer, layer.embeddings, 1, ids)
        return [{len(call.output.shape) - 1: ids}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of features."""
        return {"output_dim": kept(layer.embeddings, 1)}
