"""What the one integer grid of an output does to values beyond its ends and to small columns."""

import dataclasses

import numpy as np

from keras_compress.evaluation.error_measures import sqnr_db
from keras_compress.evaluation.runtimes.base import TensorDetails

# A larger fraction of an output beyond the ends of its grid causes a warning.
SATURATED = 0.005
# Columns of one tensor whose magnitudes differ by a larger factor cause a warning: with 255
# integers for the largest, the smallest has fewer than nine.
UNLIKE = 30.0
_MOST_COLUMNS = 32
# The steps that SOFTMAX, LOGISTIC and TANH prescribe, whatever the values are.
_PRESCRIBED = (2**-8, 2**-7, 2**-15)


@dataclasses.dataclass(frozen=True)
class ColumnError:
    """The error of one column of an output, which is one position of its last axis.

    Args:
        rmse: Root mean squared error against the baseline.
        magnitude: Largest magnitude of the baseline's values.
        sqnr_db: Signal-to-quantization-noise ratio; `None` if it is exact, or without a signal.
    """

    rmse: float
    magnitude: float
    sqnr_db: float | None


def saturated(reference: np.ndarray, tensor: TensorDetails) -> float | None:
    """Return the fraction of the baseline's values that lie beyond the ends of an output's grid.

    Args:
        reference: The baseline's values.
        tensor: The file's output.

    Returns:
        The fraction that is further away than one step; `None` for an output without a grid.

    Example:
        >>> details = TensorDetails("y", (1, 1), (1, 1), np.dtype("int8"), 0.5, 0)
        >>> saturated(np.array([0.0, 63.9, 70.0, -90.0]), details)
        0.5
    """
    if not tensor.is_quantized:
        return None
    low, high = ends(tensor)
    beyond = (reference < low - tensor.scale) | (reference > high + tensor.scale)
    return float(beyond.mean())


def has_prescribed_grid(tensor: TensorDetails) -> bool:
    """Tell whether the operator prescribes an output's grid: probabilities, which are of a kind.

    Args:
        tensor: The tensor.
    """
    return tensor.scale in _PRESCRIBED


def ends(tensor: TensorDetails) -> tuple[float, float]:
    """Return the smallest and the largest value of a quantized tensor's grid.

    Args:
        tensor: The tensor.
    """
    limits = np.iinfo(tensor.dtype)
    low, high = (float(q - tensor.zero_point) * tensor.scale for q in (limits.min, limits.max))
    return low, high


def column_errors(reference: np.ndarray, outputs: np.ndarray) -> tuple[ColumnError, ...]:
    """Return the error of each column of an output.

    Args:
        reference: The baseline's values (samples, ..., columns).
        outputs: The file's values, of the same shape.

    Returns:
        One `ColumnError` a column; empty for one column and for more than 32.
    """
    if not _has_columns(reference) or reference.shape != outputs.shape:
        return ()
    pairs = (
        np.reshape(array, (-1, array.shape[-1])).T.astype(np.float64)
        for array in (reference, outputs)
    )
    return tuple(
        ColumnError(
            rmse=float(np.sqrt(np.square(before - after).mean())),
            magnitude=float(np.abs(before).max()),
            sqnr_db=sqnr_db(before, after),
        )
        for before, after in zip(*pairs, strict=True)
    )


def magnitudes(values: np.ndarray) -> np.ndarray | None:
    """Return the largest magnitude of each column.

    Args:
        values: Array (samples, ..., columns).

    Returns:
        Array (columns,); `None` for one column and for more than 32, which are pixels or features
        of a kind.
    """
    if not _has_columns(values):
        return None
    return np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)


def unlike_columns(sizes: np.ndarray) -> tuple[int, int] | None:
    """Find columns that are too different for one grid.

    Args:
        sizes: Largest magnitude of each column.

    Returns:
        Positions of the largest and of the smallest column that is not zero everywhere, if they
        differ by more than a factor of 30; else `None`.

    Example:
        >>> unlike_columns(np.array([1.0, 0.0, 640.0]))
        (2, 0)
    """
    live = np.flatnonzero(sizes > 0)
    if live.size < 2:
        return None
    smallest, largest = live[sizes[live].argmin()], int(sizes.argmax())
    return (largest, int(smallest)) if sizes[largest] > UNLIKE * sizes[smallest] else None


def unlike_sentence(place: str, sizes: np.ndarray, largest: int, smallest: int) -> str:
    """Return the warning about columns of one tensor that are too different for its one grid.

    Args:
        place: Whose columns they are, such as `"of output 'y'"`.
        sizes: Largest magnitude of each column.
        largest: Position of the largest column.
        smallest: Position of the smallest.
    """
    ratio = sizes[largest] / sizes[smallest]
    return (
        f"Column {largest} {place} is {ratio:,.0f} times as large as column {smallest} "
        f"({sizes[largest]:.3g} and {sizes[smallest]:.3g}). A tensor has one integer grid, which "
        "leaves the small column few steps or none. Scale the columns to similar ranges, or make "
        "them separate inputs or outputs."
    )


def _has_columns(values):
    return values.ndim > 1 and 2 <= values.shape[-1] <= _MOST_COLUMNS
