"""BatchNormalization that cannot be folded into a kernel: its statistics freeze with the ranges."""

import keras

from keras_compress.wrappers.fused_normalization import normalize
from keras_compress.wrappers.wrapping_layer import WrappingLayer


@keras.saving.register_keras_serializable(package="keras_compress")
class PhasedNormalization(WrappingLayer):
    """Runs a BatchNormalization in inference mode once quantization is frozen.

    Before that it trains as usual. In the frozen phase training uses the statistics that will be
    deployed, the moving averages, not those of each batch (Krishnamoorthi 2018, section 3.2).

    Args:
        layer: A `BatchNormalization`.
    """

    def __init__(self, layer, **kwargs):
        kwargs.setdefault("name", layer.name)
        super().__init__(layer, **kwargs)
        self.supports_masking = layer.supports_masking

    def build(self, input_shape):
        """Build the normalization and the weight that is the phase."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.build_phase()
        self.built = True

    def call(self, inputs, training=None, mask=None):
        """Normalize the inputs; in training by the batch's statistics until they are frozen."""
        return normalize(self.layer, inputs, self.is_learning_step(training), mask)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        """Make the layer from what `get_config` returned."""
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)
