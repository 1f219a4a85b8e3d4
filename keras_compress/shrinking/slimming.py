"""Network slimming: remove the channels with the smallest batch normalization scales."""

from typing import Any

import keras

from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.shrinking import Shrunk, shrink


def slim_prune(model: keras.Model, pruning_rate: float, **options: Any) -> Shrunk:
    """Remove the channels with the smallest batch normalization scales.

    Args:
        model: A built Sequential or functional `keras.Model`, best trained with
            `kc.SlimmingCallback`; it is not changed.
        pruning_rate: Fraction in [0, 1) of the removable channels to remove.
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
            "pruning_rate must be a fraction in [0, 1); at 1 no channel would be left. "
            f"Received: pruning_rate={pruning_rate!r}"
        )
    return shrink(model, channels=1.0 - pruning_rate, criterion="batch_norm_gamma", **options)
