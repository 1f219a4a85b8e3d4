"""Layers and operations that move, add or remove whole axes."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule


class Transpose(PropagationRule):
    """Permute, Transpose, Swapaxes, ExpandDims, Squeeze, RepeatVector: axes move."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Find the new place of each axis."""
        order = _moved(call.operation, call.inputs[0].shape)
        for axis, ids in inputs[0].items():
            if axis not in order:
                channels.protect(ids, f"{call.name} drops their axis")
        return [{order.index(axis): ids for axis, ids in inputs[0].items() if axis in order}]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """The constants move with their axis."""
        return list(inputs)


def _moved(operation, shape):
    """Return the old axis at each new place; -1 for an inserted axis."""
    rank, form = len(shape), operations.of(operation).form
    order = list(range(rank))
    if form == "permute":
        return [0, *operation.dims]
    if form == "transpose":
        return order[::-1] if operation.axes is None else [a % rank for a in operation.axes]
    if form == "swap_axes":
        first, second = operation.axis1, operation.axis2
        order[first], order[second] = order[second], order[first]
    elif form == "expand":
        axes = np.atleast_1d(operation.axis)
        for axis in sorted(int(a) % (rank + len(axes)) for a in axes):
            order.insert(axis, -1)
    elif form == "repeat_vector":
        order.insert(1, -1)
    elif form == "squeeze":
        order = [axis for axis in order if axis not in _squeezed(operation, shape)]
    return order


def _squeezed(operation, shape):
    if operation.axis is None:
        return [axis for axis, size in enumerate(shape) if size == 1]
    return [int(axis) % len(shape) for axis in np.atleast_1d(operation.axis)]
