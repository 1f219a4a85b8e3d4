"""The penalty of network slimming, which trains batch normalization scales towards zero."""

from typing import Any

import keras

from keras_compress.callbacks.step_callback import check_built, remake_functions
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import all_layers


class _Penalty(keras.regularizers.L1):
    """A penalty that is the callback's, not the user's."""


class SlimmingCallback(keras.callbacks.Callback):
    """Adds `strength * sum(|gamma|)` to the loss of `fit`, over all batch normalizations.

    The penalty drives the scales of useless channels to zero, so that `kc.slim_prune` can identify
    them. It applies only during `fit` and is not saved with the model. A layer with its own
    `gamma_regularizer` keeps that instead.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    ICCV 2017, equation 1.

    Args:
        strength: Weight of the penalty; the paper uses 1e-5 to 1e-4.

    Raises:
        InvalidArgumentError: A negative strength; when training begins, a model that is not built
            or has no BatchNormalization with a scale.

    Example:
        >>> callback = SlimmingCallback(strength=1e-4)
    """

    def __init__(self, strength: float = 1e-4):
        super().__init__()
        if not strength >= 0:
            raise InvalidArgumentError(
                f"strength must be 0 or more. Received: strength={strength!r}"
            )
        self.strength = strength
        self._penalized: list[keras.Variable] = []

    def set_model(self, model: keras.Model) -> None:
        """Add the penalty to the scales before the training step is traced."""
        super().set_model(model)
        scales = _scales(model)
        if not scales:
            raise InvalidArgumentError(
                "Network slimming needs BatchNormalization layers with scale=True. "
                f"Received: {model.name}, which has none"
            )
        # An interrupted fit leaves its penalty behind.
        own = type(None), _Penalty
        self._penalized = [scale for scale in scales if isinstance(scale.regularizer, own)]
        self._set(_Penalty(self.strength))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Remove the penalty."""
        self._set(None)

    def _set(self, regularizer):
        for scale in self._penalized:
            scale.regularizer = regularizer
        # Steps traced earlier ignore the change, and a validation during `fit` includes the
        # penalty.
        remake_functions(self.model)


def _scales(model):
    """Return the scales of all batch normalizations of a model, including nested ones."""
    normalizations = [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale
    ]
    check_built(model, normalizations)
    return [layer.gamma for layer in normalizations]
