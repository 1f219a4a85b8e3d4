"""The step that schedules count: kept over several fits, checkpoints, restarts and optimizers."""

import numpy as np

from keras_compress.graph import all_layers
from keras_compress.wrapper import UNSET_ORIGIN, CompressedLayer


def compressed_layers(model):
    """List the compressed layers of a model, those of nested models included."""
    return [layer for layer in all_layers(model) if isinstance(layer, CompressedLayer)]


class TrainingStep:
    """Counts the optimizer's updates since compression began.

    The count is `optimizer.iterations - origin`. The optimizer counts in the traced step, so the
    count is right at any moment a checkpoint may be taken, in whatever order callbacks are
    listed. `origin` is a weight of the compressed layers, fixed at the first batch. A new
    optimizer starts at zero again; then the origin moves so that the count goes on from the last
    one recorded. On a plain model the count lives as long as this object.

    Args:
        model: A compiled model.
    """

    def __init__(self, model):
        self._model = model
        self._holders = compressed_layers(model)
        self._origin = None

    @property
    def iterations(self):
        """Updates that the optimizer has made."""
        return int(np.asarray(self._model.optimizer.iterations))

    def resolve(self):
        """Fix the origin; to be called at a train batch, when checkpoints have been restored."""
        iterations = self.iterations
        if not self._holders:
            self._origin = iterations if self._origin is None else self._origin
            return
        holder = self._holders[0]
        origin, recorded = int(np.asarray(holder.origin)), int(np.asarray(holder.step))
        if origin == UNSET_ORIGIN:
            origin = iterations
        elif iterations - origin < recorded:
            origin = iterations - recorded
        self._origin = origin
        for holder in self._holders:
            holder.origin.assign(origin)

    @property
    def current(self):
        """The number of updates made since compression began."""
        if self._origin is None:
            self.resolve()
        return self.iterations - self._origin

    def record(self):
        """Write the count into the model, for the optimizer that may come after this one."""
        step = self.current
        for holder in self._holders:
            holder.step.assign(step)
