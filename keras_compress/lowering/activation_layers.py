"""The layers that replace an activation which TFLite runs as operators of their own."""

import keras


@keras.saving.register_keras_serializable(package="keras_compress")
class InnerActivation(keras.layers.Activation):
    """The activation of a layer such as `Dense(activation="softmax")`, behind its linear rest.

    `kc.strip` puts it back into the layer.
    """


@keras.saving.register_keras_serializable(package="keras_compress")
class SiluProduct(keras.layers.Multiply):
    """The product in silu(x) = x * sigmoid(x). `kc.strip` puts the SiLU together again.

    Args:
        original: Name of the layer or operation that computed the SiLU.
        inner: Whether it was the activation of a layer with weights.
    """

    def __init__(self, original, inner, **kwargs):
        super().__init__(**kwargs)
        self.original, self.inner = original, inner

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "original": self.original, "inner": self.inner}
