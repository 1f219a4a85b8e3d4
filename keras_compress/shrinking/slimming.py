"""Network slimming: train scales of batch normalization towards zero, then remove channels."""

import keras

from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.shrinking import shrink


class SlimmingCallback(keras.callbacks.Callback):
    """Adds `strength * sum(|gamma|)` to the loss of `fit`, over all batch normalizations.

    The penalty drives the scales of useless channels to zero, so that `slim_prune` can tell
    them. It holds during `fit` alone: nothing of it is saved with the model. A layer that has a
    `gamma_regularizer` of its own keeps that one.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    ICCV 2017, equation 1.

    Args:
        strength: Weight of the penalty; the paper takes 1e-5 to 1e-4.

    Raises:
        InvalidArgumentError: A strength below zero, or, when training begins, a model without
            a BatchNormalization that scales.

    Example:
        >>> callback = SlimmingCallback(strength=1e-4)
    """

    def __init__(self, strength=1e-4):
        super().__init__()
        if not strength >= 0:
            raise InvalidArgumentError(
                f"strength must be a number of 0 or more. Received: strength={strength!r}"
            )
        self.strength = strength
        self._penalized = []

    def set_model(self, model):
        """Put the penalty on the scales before the training step is traced."""
        super().set_model(model)
        scales = [layer.gamma for layer in batch_normalizations(model)]
        if not scales:
            raise InvalidArgumentError(
                "Network slimming needs BatchNormalization layers with scale=True. "
                f"Received: {model.name}, which has none"
            )
        self._penalized = [scale for scale in scales if scale.regularizer is None]
        self._set(keras.regularizers.L1(self.strength))

    def on_train_end(self, logs=None):
        """Take the penalty off again."""
        self._set(None)

    def _set(self, regularizer):
        for scale in self._penalized:
            scale.regularizer = regularizer
        # A step that was traced before does not know of the change.
        self.model.train_function = None


def batch_normalizations(model):
    """Return the batch normalizations of a model that have a scale, nested ones too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += batch_normalizations(layer)
        elif isinstance(layer, keras.layers.BatchNormalization) and layer.scale:
            found.append(layer)
    return found


def slim_prune(model, pruning_rate, **options):
    """Remove the channels with the smallest batch normalization scales.

    Args:
        model: A built Sequential or functional `keras.Model`, best trained with
            `SlimmingCallback`; it is not changed.
        pruning_rate: Fraction in [0, 1) of the removable channels that go.
        **options: Further arguments of `shrink` (`round_to`, `minimum`, `return_report` …).

    Returns:
        What `shrink` returns.

    Raises:
        InvalidArgumentError: A rate outside [0, 1), or one that would empty a layer.

    Example:
        >>> import keras, keras_compress as kc
        >>> parts = [keras.Input((8,)), keras.layers.Dense(16), keras.layers.BatchNormalization()]
        >>> model = keras.Sequential([*parts, keras.layers.Dense(3)])
        >>> kc.slim_prune(model, pruning_rate=0.25).layers[1].units
        12
    """
    if not 0 <= pruning_rate < 1:
        raise InvalidArgumentError(
            "pruning_rate must be a fraction in [0, 1): at 1 no channel would be left. "
            f"Received: pruning_rate={pruning_rate!r}"
        )
    return shrink(model, channels=1.0 - pruning_rate, criterion="batch_norm_gamma", **options)
