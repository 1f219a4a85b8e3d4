"""The layer of ConvNeXt that scales each channel."""

import numpy as np

from keras_compress.shrinking.propagation.base import Rule


class LayerScale(Rule):
    """LayerScale: one factor for each channel of the last axis."""

    def propagate(self, call, inputs, channels):
        """Bind the factors."""
        layer, axes = call.operation, inputs[0]
        channels.bind(layer, layer.gamma, 0, axes.get(len(call.output.shape) - 1))
        return [axes]

    def reconfigure(self, layer, kept):
        """Set the size of the factors."""
        return {"projection_dim": kept(layer.gamma, 0)}

    def constants(self, call, inputs, axes):
        """A factor of zero makes zeros, a constant is scaled."""
        gamma = np.asarray(call.operation.gamma)
        values = np.full_like(gamma, np.nan) if inputs[0] is None else inputs[0]
        return [np.where(gamma == 0, 0.0, values * gamma) if len(values) == len(gamma) else None]
