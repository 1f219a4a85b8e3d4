"""Hold channels at zero during training, so that they can be removed afterwards."""

import keras
import numpy as np


class ChannelMasks:
    """Masks that set to zero all weights which produce or read the channels of some groups.

    Moving variances are not masked, because normalization divides by them.

    Args:
        graph: A `DependencyGraph` of the model that is trained.
    """

    def __init__(self, graph):
        self.graph = graph
        slots = [slot for slot in graph.slots if not is_variance(slot)]
        self._weights = list({id(slot.weight): slot.weight for slot in slots}.values())
        self._slots = slots
        self._masks = [_ones(weight) for weight in self._weights]
        self._enforce = _compiled(self._weights, self._masks)
        self.gone = np.zeros(graph.size, bool)

    @property
    def variables(self):
        """The masks of the weights. They are not part of the model."""
        return self._masks

    def set(self, gone):
        """Set which groups are held at zero, by a mask (groups,)."""
        self.gone = gone
        arrays = {id(weight): np.ones(weight.shape, "float32") for weight in self._weights}
        for slot in self._slots:
            rows = np.moveaxis(arrays[id(slot.weight)], slot.axis, 0)
            rows[gone[slot.groups]] = 0
        for weight, mask in zip(self._weights, self._masks, strict=True):
            mask.assign(arrays[id(weight)])

    def enforce(self):
        """Set the masked weights back to zero after an update of the weights."""
        self._enforce()

    def zero_groups(self):
        """Return the mask of the removable groups whose weights are all zero."""
        dead = self.graph.prunable.copy()
        for slot in self._slots:
            rows = np.moveaxis(keras.ops.convert_to_numpy(slot.weight), slot.axis, 0)
            live = np.any(rows.reshape(len(rows), -1) != 0, axis=1)
            dead[slot.groups[live]] = False
        return dead


def is_variance(slot):
    """Tell whether a slot is the moving variance of a batch normalization."""
    return slot.weight is getattr(slot.layer, "moving_variance", None)


def _ones(weight):
    return keras.Variable(np.ones(weight.shape, "float32"), trainable=False, dtype="float32")


def _compiled(weights, masks):
    import tensorflow as tf

    @tf.function
    def enforce():
        for weight, mask in zip(weights, masks, strict=True):
            weight.assign(weight * tf.cast(mask.value, weight.dtype))

    return enforce
