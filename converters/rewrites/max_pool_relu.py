"""ReLU before max pooling instead of after it."""

from collections.abc import Callable

import keras

from keras_compress.converters.rewrites.base import Rewrite, forbids_fusing, is_relu
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class MaxPoolRelu(Rewrite):
    """A MaxPooling followed by a ReLU, in the other order.

    The converter fuses the ReLU into MAX_POOL_2D. ReLU is monotonic, so that
    max(relu(x)) = relu(max(x)); placed first, it is fused into the operator before the pooling.
    """

    layers = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether MAX_POOL_2D must not have a fused activation."""
        return forbids_fusing(profile, "MAX_POOL_2D")

    def replacement(self, call: Call) -> Callable | None:
        """Return the ReLU that follows, in place of the pooling."""
        (reader,) = call.output.consumers
        return _copy(reader.operation)

    def replacements(self, call: Call) -> dict[Call, Callable]:
        """Swap the two calls, if only a ReLU reads the pooling."""
        readers = call.output.consumers
        if len(readers) != 1 or not is_relu(readers[0].operation):
            return {}
        return {call: self.replacement(call), readers[0]: _copy(call.operation)}


def _copy(operation):
    if not isinstance(operation, keras.layers.Layer):
        return operation
    return type(operation).from_config(operation.get_config())
