"""The layers that replace a LayerNormalization, one for each tensor of the TFLite file."""

import keras
from keras import ops

from keras_compress.layers.base import bias_rounding

_WEIGHT_LIMIT = 127.0


@keras.saving.register_keras_serializable(package="keras_compress")
class NormalizationStep(keras.layers.Layer):
    """One step of a normalization over the last axis.

    Args:
        step: `"mean"` over the axis, `"difference"`, `"square"`, `"raise"` by `epsilon`,
            `"inverse_root"` or `"product"`.
        epsilon: Number added to the variance, and lower bound of the root's argument.
    """

    def __init__(self, step, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.step, self.epsilon = step, float(epsilon)
        self.supports_masking = True

    def build(self, *shapes):
        """Mark the layer as built: it has no weights."""
        self.built = True

    def call(self, inputs, other=None):
        """Compute the step.

        Args:
            inputs: Tensor (batch, ..., channels).
            other: Tensor that is subtracted or multiplied, (batch, ..., 1).
        """
        if self.step == "mean":
            return ops.mean(inputs, -1, keepdims=True)
        if self.step == "difference":
            return ops.subtract(inputs, other)
        if self.step == "square":
            return ops.multiply(inputs, inputs)
        if self.step == "raise":
            return ops.add(inputs, ops.cast(self.epsilon, inputs.dtype))
        if self.step == "inverse_root":
            # In float the input is never smaller, but a quantized variance may be zero.
            least = ops.cast(self.epsilon, inputs.dtype)
            return ops.rsqrt(ops.maximum(inputs, least) if self.epsilon else inputs)
        return ops.multiply(inputs, other)

    def compute_mask(self, inputs, mask=None):
        """Pass on the mask of the first input."""
        return mask

    def compute_output_shape(self, input_shape, other_shape=None):
        """Return the input's shape; a mean has one channel."""
        return (*input_shape[:-1], 1) if self.step == "mean" else input_shape

    def compute_output_spec(self, inputs, other=None):
        """Return shape and type of the result."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "step": self.step, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_compress")
class NormalizationAffine(keras.layers.Layer):
    """The last step of a normalization: y = x * gamma + beta for each channel.

    Args:
        normalization: Configuration of the original LayerNormalization.
    """

    def __init__(self, normalization, **kwargs):
        super().__init__(**kwargs)
        self.normalization = normalization
        self.supports_masking = True
        self.gamma = self.beta = None

    def build(self, input_shape):
        """Create gamma and beta, as the LayerNormalization has them."""
        whole = keras.layers.LayerNormalization.from_config(self.normalization)
        for name, is_used in (("gamma", whole.scale), ("beta", whole.center)):
            if is_used:
                weight = self.add_weight(
                    name=name,
                    shape=(input_shape[-1],),
                    initializer=getattr(whole, f"{name}_initializer"),
                    regularizer=getattr(whole, f"{name}_regularizer"),
                    constraint=getattr(whole, f"{name}_constraint"),
                    autocast=False,
                )
                setattr(self, name, weight)
        self.built = True

    def call(self, inputs, input_step=None):
        """Scale and shift the inputs.

        Args:
            inputs: Tensor (batch, ..., channels).
            input_step: Step of the inputs' grid, a scalar. The file rounds beta to multiples of
                this step times gamma / 127, and so does this layer.
        """
        outputs = inputs if self.gamma is None else inputs * ops.cast(self.gamma, inputs.dtype)
        if self.beta is None:
            return outputs
        return outputs + ops.cast(self._shift(input_step), inputs.dtype)

    def _shift(self, input_step):
        beta = ops.convert_to_tensor(self.beta)
        if input_step is None:
            return beta
        factor = 1.0 if self.gamma is None else ops.abs(ops.convert_to_tensor(self.gamma))
        return beta + bias_rounding(beta, input_step * factor / _WEIGHT_LIMIT)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "normalization": self.normalization}
