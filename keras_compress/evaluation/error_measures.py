"""Measures of the difference between real-valued outputs and a reference."""

import math

import numpy as np

from keras_compress.errors import InvalidArgumentError


def mse(reference: np.ndarray, outputs: np.ndarray) -> float:
    """Return the mean squared error.

        MSE = mean((r - o)^2)

    Args:
        reference: Array of real values.
        outputs: Array of the same number of entries; (n,) and (n, 1) are compared entry by
            entry.

    Returns:
        A float.

    Raises:
        InvalidArgumentError: The shapes do not fit.
    """
    return float(np.square(_difference(reference, outputs)).mean())


def mae(reference: np.ndarray, outputs: np.ndarray) -> float:
    """Return the mean absolute error.

        MAE = mean(|r - o|)

    Args:
        reference: As for `mse`.
        outputs: As for `mse`.

    Returns:
        A float.
    """
    return float(np.abs(_difference(reference, outputs)).mean())


def sqnr_db(reference: np.ndarray, outputs: np.ndarray) -> float | None:
    """Return the signal-to-quantization-noise ratio in decibels.

        SQNR = 10 log10(sum(r^2) / sum((r - o)^2))

    An ideal quantizer gains 6.02 dB per bit (Widrow & Kollár, Quantization Noise, 2008).

    Args:
        reference: As for `mse`: the float model's outputs.
        outputs: As for `mse`.

    Returns:
        A float; `None` if it is infinite because the outputs are equal, or if the reference is
        zero everywhere.
    """
    noise = float(np.square(_difference(reference, outputs)).sum())
    signal = float(np.square(np.asarray(reference, np.float64)).sum())
    return 10 * math.log10(signal / noise) if noise and signal else None


def output_error(reference: np.ndarray, outputs: np.ndarray) -> dict[str, float | None]:
    """Return all measures at once.

    Args:
        reference: As for `mse`: the float model's outputs.
        outputs: As for `mse`.

    Returns:
        Dict with `mse`, `rmse`, `mae` and `sqnr_db`.

    Example:
        >>> output_error(np.array([3.0, 4.0]), np.array([3.0, 4.5]))["sqnr_db"]
        20.0
    """
    squared = mse(reference, outputs)
    return {
        "mse": squared,
        "rmse": math.sqrt(squared),
        "mae": mae(reference, outputs),
        "sqnr_db": sqnr_db(reference, outputs),
    }


def _difference(reference, outputs):
    reference, outputs = np.asarray(reference, np.float64), np.asarray(outputs, np.float64)
    if reference.shape != outputs.shape:
        if reference.squeeze().shape != outputs.squeeze().shape:
            raise InvalidArgumentError(
                "Outputs must have the shape of the values that they are compared with. "
                f"Received: {list(outputs.shape)} against {list(reference.shape)}."
            )
        reference = reference.reshape(outputs.shape)
    return reference - outputs
