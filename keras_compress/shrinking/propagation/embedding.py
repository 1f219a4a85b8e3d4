"""Embeddings."""

from keras_compress.shrinking.propagation.base import Rule


class Embedding(Rule):
    """Embedding: each feature of the table is a new channel."""

    def propagate(self, call, inputs, channels):
        """Bind the table's second axis."""
        layer = call.operation
        ids = channels.new(layer.output_dim, call.name)
        channels.bind(layer, layer.embeddings, 1, ids)
        return [{len(call.output.shape) - 1: ids}]

    def reconfigure(self, layer, kept):
        """Set the number of features."""
        return {"output_dim": kept(layer.embeddings, 1)}
