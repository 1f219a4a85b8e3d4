"""ReLU before a maximum instead of behind it."""

import keras

from keras_compress.converters.rewrites.base import Rewrite, forbids_fusing, is_relu


class MaxPoolRelu(Rewrite):
    """A MaxPooling followed by a ReLU, in the other order.

    The converter fuses the ReLU into MAX_POOL_2D. ReLU is monotonic, so that the maximum of what it
    leaves is what it leaves of the maximum; there it is fused into the operator before.
    """

    def is_needed(self, profile):
        """Where MAX_POOL_2D takes no fused activation."""
        return forbids_fusing(profile, "MAX_POOL_2D")

    def replacement(self, call):
        """Swap both calls."""
        kinds = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)
        if isinstance(call.operation, kinds) and len(call.output.consumers) == 1:
            (reader,) = call.output.consumers
            return _copy(reader.operation) if is_relu(reader.operation) else None
        before = call.inputs[0].producer if call.inputs else None
        swapped = before is not None and isinstance(before.operation, kinds)
        if swapped and is_relu(call.operation) and len(before.output.consumers) == 1:
            return _copy(before.operation)
        return None


def _copy(operation):
    if not isinstance(operation, keras.layers.Layer):
        return operation
    return type(operation).from_config(operation.get_config())
