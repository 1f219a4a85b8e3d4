"""Masks that Keras passes along with tensors: those of Masking and Embedding(mask_zero=True)."""

from typing import Any

import keras


def hides_steps(value: Any) -> bool:
    """Return whether Keras passes an implicit mask along with a tensor.

    Args:
        value: A value of a traced `Graph`.
    """
    pending = [value]
    while pending:
        call = pending.pop().producer
        if call is None:
            continue
        if isinstance(call.operation, keras.layers.Masking) or getattr(
            call.operation, "mask_zero", False
        ):
            return True
        if getattr(call.operation, "supports_masking", False):
            pending += call.inputs
    return False
