"""Element-wise layers and operations with several inputs."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule


class Merge(PropagationRule):
    """Add, Multiply and similar: channels at the same position are tied; sizes of 1 broadcast."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Tie the channels of all inputs, axis by axis, starting from the last axis."""
        rank = len(call.output.shape)
        result = {}
        for axis in range(rank):
            ids = self._tied(call, inputs, axis, channels)
            if ids is not None:
                result[axis] = ids
        if any(np.size(constant) > 1 for constant in _constant_tensors(call)):
            for ids in result.values():
                channels.protect(ids, f"{call.name} combines them with a constant tensor")
        return [result]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Apply the operation to the constants. Zero times anything is zero."""
        arrays = [values for values in inputs if values is not None]
        if len(arrays) < len(inputs) or len({len(values) for values in arrays}) > 1:
            return [None]
        stacked = np.stack(arrays)
        form = operations.of(call.operation).form
        if form == "product":
            zero = np.any(stacked == 0, axis=0)
            return [np.where(zero, 0.0, stacked.prod(axis=0))] if _plain(call) else [None]
        functions: dict[str | None, Callable[..., np.ndarray]] = {
            "sum": stacked.sum,
            "mean": stacked.mean,
            "maximum": stacked.max,
        }
        function = functions.get(form)
        if function is None or not _plain(call):
            zero = np.all(stacked == 0, axis=0) & (form in ("difference", "scaled_sum"))
            return [np.where(zero, 0.0, np.nan)]
        return [function(axis=0)]

    def _tied(self, call, inputs, axis, channels):
        size, rank = call.output.shape[axis], len(call.output.shape)
        met = []
        for value, axes in zip(call.inputs, inputs, strict=True):
            own = axis - rank + len(value.shape)
            if own < 0:
                continue
            ids = axes.get(own)
            if value.shape[own] == size:
                met.append(ids)
            elif ids is not None:
                channels.protect(ids, f"{call.name} broadcasts it over others")
        for ids in met[1:]:
            channels.tie(met[0], ids, f"{call.name} adds them to a tensor of fixed size")
        return next((ids for ids in met if ids is not None), None)


def _constant_tensors(call):
    """Return the array arguments that are not tensors of the graph."""
    inputs = set(map(id, call.inputs))
    arguments = [*call.args, *call.kwargs.values()]
    flat = [a for arg in arguments for a in (arg if isinstance(arg, list | tuple) else [arg])]
    return [a for a in flat if id(a) not in inputs and hasattr(a, "shape")]


def _plain(call):
    """Tell whether all arguments are tensors of the graph."""
    arguments = call.args[0] if isinstance(call.args[0], list | tuple) else call.args
    return len(arguments) == len(call.inputs)
