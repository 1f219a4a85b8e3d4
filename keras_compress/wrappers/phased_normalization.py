"""BatchNormalization that cannot be folded into a kernel: its statistics freeze with the ranges."""

import keras
from keras import ops

from keras_compress.layers.base import batch_norm_affine, bias_rounding
from keras_compress.quantization.fake_quant import weight_limit
from keras_compress.wrappers.fused_normalization import normalize
from keras_compress.wrappers.state_variable import when
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

    def call(self, inputs, training=None, mask=None, input_step=None):
        """Normalize the inputs; in training by the batch's statistics until they are frozen.

        Args:
            inputs: Tensor (batch, ..., channels).
            training: Whether this is a training step.
            mask: As for the normalization.
            input_step: Step of the inputs' grid, a scalar, where the file computes a depthwise
                convolution: it rounds the shift to multiples of this step times factor / 127.
        """
        learning = self.is_learning_step(training)
        outputs = normalize(self.layer, inputs, learning, mask)
        if input_step is None or learning is True:
            return outputs
        factor, shift = batch_norm_affine(self.layer)
        change = when(
            learning,
            lambda: ops.zeros_like(shift),
            lambda: bias_rounding(shift, input_step * ops.abs(factor) / weight_limit(8)),
        )
        return outputs + ops.cast(change, outputs.dtype)

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
