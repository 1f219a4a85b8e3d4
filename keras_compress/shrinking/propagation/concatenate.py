"""Concatenation."""

import numpy as np

from keras_compress.shrinking.propagation.base import Rule


class Concatenate(Rule):
    """Concatenate: along its axis channels stand one after the other, along others they meet."""

    def propagate(self, call, inputs, channels):
        """Chain the ids along the axis, tie them along all others."""
        along = call.operation.axis % len(call.output.shape)
        result = {}
        if any(along in axes for axes in inputs):
            parts = [
                axes.get(along, None)
                if along in axes
                else self._fixed(call, value, along, channels)
                for value, axes in zip(call.inputs, inputs, strict=True)
            ]
            result[along] = np.concatenate(parts)
        for axis in {axis for axes in inputs for axis in axes} - {along}:
            first, *others = [axes.get(axis) for axes in inputs]
            for ids in others:
                channels.tie(first, ids)
            result[axis] = next(ids for ids in (first, *others) if ids is not None)
        return [result]

    def constants(self, call, inputs, axes):
        """Chain the constants; what is unknown varies."""
        along = call.operation.axis % len(call.output.shape)
        parts = [
            np.full(value.shape[along] or 1, np.nan) if values is None else values
            for value, values in zip(call.inputs, inputs, strict=True)
        ]
        return [np.concatenate(parts)]

    def _fixed(self, call, value, axis, channels):
        return channels.fixed(value.shape[axis], f"{call.name} takes them from outside")
