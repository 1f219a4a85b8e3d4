"""Element-wise layers and operations with one input."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    PropagationRule,
    activate,
    keeps_channels_apart,
    protect_mixed,
)


class Elementwise(PropagationRule):
    """Activations, dropout, noise, scaling by one number: channels pass unchanged."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Pass the axes on; protect channels that a softmax or an unknown function may mix."""
        (axes,) = inputs
        problem = _problem(call.operation)
        for ids in axes.values():
            protect_mixed(call, getattr(call.operation, "activation", None), ids, channels)
            if problem:
                channels.protect(ids, f"{call.name} {problem}")
        return [axes]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Apply the layer to the constants."""
        operation, (values,) = call.operation, inputs
        function = getattr(operation, "activation", None) or operation
        if values is None or np.isnan(values).all() or not keeps_channels_apart_here(operation):
            return [None if values is None else np.full_like(values, np.nan)]
        return [activate(function, values)]


def keeps_channels_apart_here(operation):
    """Tell whether the operation can be applied to the constants of single channels."""
    return _problem(operation) is None and keeps_channels_apart(
        getattr(operation, "activation", None)
    )


def _problem(operation):
    form = operations.of(operation).form
    if form == "masking":
        return "looks at all of them to decide which steps to skip"
    if form == "scaling":
        parts = (operation.scale, operation.offset)
        return None if all(np.size(part) == 1 for part in parts) else "has a factor for each"
    if form == "clipping":
        parts = (operation.x_min, operation.x_max)
        return None if all(np.size(part) == 1 for part in parts) else "has a limit for each"
    return None
