"""Operations that reduce over axes."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule


class Reduction(PropagationRule):
    """Mean, Sum, Max and Min over axes: channels along the other axes pass through."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Drop the reduced axes. Channels along them are protected."""
        operation, rank = call.operation, len(call.inputs[0].shape)
        axes = range(rank) if operation.axis is None else np.atleast_1d(operation.axis)
        reduced = {int(axis) % rank for axis in axes}
        result = {}
        for axis, ids in inputs[0].items():
            if axis in reduced:
                channels.protect(ids, f"{call.name} reduces over them")
            else:
                shift = 0 if operation.keepdims else sum(other < axis for other in reduced)
                result[axis - shift] = ids
        return [result]
