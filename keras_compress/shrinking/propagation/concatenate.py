"""Concatenation."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule


class Concatenate(PropagationRule):
    """Concatenate: channels are joined along its axis and tied along all other axes."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Join the ids along the axis and tie them along all others."""
        along = call.operation.axis % len(call.output.shape)
        result: Axes = {}
        if any(along in axes for axes in inputs):
            parts = [
                axes[along] if along in axes else self._fixed(call, value, along, channels)
                for value, axes in zip(call.inputs, inputs, strict=True)
            ]
            result[along] = np.concatenate(parts)
        for axis in {axis for axes in inputs for axis in axes} - {along}:
            first, *others = [axes.get(axis) for axes in inputs]
            for ids in others:
                channels.tie(first, ids)
            result[axis] = next(ids for ids in (first, *others) if ids is not None)
        return [result]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Join the constants; channels of which nothing is known count as varying."""
        along = call.operation.axis % len(call.output.shape)
        parts = [
            np.full(value.shape[along] or 1, np.nan) if values is None else values
            for value, values in zip(call.inputs, inputs, strict=True)
        ]
        return [np.concatenate(parts)]

    def _fixed(self, call, value, axis, channels):
        return channels.fixed(value.shape[axis], f"{call.name} reads them from a fixed input")
