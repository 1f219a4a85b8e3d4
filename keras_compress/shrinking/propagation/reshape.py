"""Layers and operations that reshape a tensor."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.removal import Kept


class Reshape(PropagationRule):
    """Flatten and Reshape: each position along the new axes gets the id of its old position.

    If several axes are merged, an id appears at many positions (Flatten before a Dense layer).
    If the channel axis is split, positions along the longest new axis are the channels, and
    positions along the other new axes are tied (as in a channel shuffle).
    """

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Arrange the ids along the new axes."""
        axes = inputs[0]
        if not axes:
            return [{}]
        axis = max(axes, key=lambda a: len(axes[a]))
        for other in axes:
            if other != axis:
                channels.protect(axes[other], f"{call.name} merges or splits their axis")
        if _free(call):
            channels.protect(axes[axis], f"{call.name} has free sizes besides the batch")
            return [{}]
        place, rows = _lay(call, axes[axis], axis)
        channels.tie_rows(rows)
        channels.bind(call.operation, f"axis {place}", 0, rows[:, 0])
        return [{place: rows[:, 0]}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the size of the channel axis, if the target shape specifies it."""
        if not hasattr(layer, "target_shape") and not hasattr(layer, "newshape"):
            return {}
        name = "target_shape" if hasattr(layer, "target_shape") else "newshape"
        shape = list(getattr(layer, name))
        first = 1 if name == "target_shape" else 0
        for place, size in enumerate(shape, start=first):
            count = kept(f"axis {place}", 0)
            if count is not None and size not in (-1, None):
                shape[place - first] = count
        return {name: tuple(shape)}

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Arrange the constants along the new axes; elements of a position must agree."""
        if inputs[0] is None or _free(call):
            return [None]
        _, rows = _lay(call, inputs[0], axes[0])
        return [np.where(np.all(rows == rows[:, :1], axis=1), rows[:, 0], np.nan)]


def _free(call):
    return None in (*call.inputs[0].shape[1:], *call.output.shape[1:])


def _lay(call, array, axis):
    """Return the new channel axis, and an array of shape (its size, positions tied together)."""
    old, new = call.inputs[0].shape[1:], call.output.shape[1:]
    (first, last), (start, stop) = _block(old, new, axis - 1)
    column = [-1 if i == axis - 1 else 1 for i in range(first, last)]
    grid = np.broadcast_to(array.reshape(column), old[first:last]).reshape(new[start:stop])
    place = _place(grid)
    size = grid.shape[place]
    rows = np.moveaxis(grid, place, 0).reshape(size, -1)
    if np.all(rows == rows[:, :1]):
        rows = rows[:, :1]
    return start + place + 1, rows


def _place(grid):
    """Choose the channel axis: the only axis along which the ids vary, or else the longest."""
    varying = [
        axis
        for axis in range(grid.ndim)
        if grid.shape[axis] > 1 and np.any(grid != grid.take([0], axis=axis))
    ]
    return varying[0] if len(varying) == 1 else int(np.argmax(grid.shape))


def _block(old, new, axis):
    """Return the range of old axes around `axis`, and the new axes with as many elements."""
    first = start = last = stop = 0
    while True:
        last, stop = last + 1, stop + 1
        while (a := math.prod(old[first:last])) != (b := math.prod(new[start:stop])):
            last, stop = (last + 1, stop) if a < b else (last, stop + 1)
        if first <= axis < last:
            return (first, last), (start, stop)
        first, start = last, stop
