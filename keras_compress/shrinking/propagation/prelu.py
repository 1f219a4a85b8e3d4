"""Parametric ReLU."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule


class PReLU(PropagationRule):
    """PReLU: the slopes follow the channels, unless they are shared along the channel axis."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the slopes along each axis that is not shared."""
        layer, (axes,) = call.operation, inputs
        for axis, ids in axes.items():
            if axis not in (layer.shared_axes or ()):
                channels.bind(layer, layer.alpha, axis - 1, ids)
        return [axes]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Zero stays zero."""
        return [None if inputs[0] is None else np.where(inputs[0] == 0, 0.0, np.nan)]
