"""Root of the mean squared error."""

import dataclasses
import math

import numpy as np

from keras_compress.evaluation import error_measures
from keras_compress.evaluation.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class RMSE(Metric):
    """Square root of the mean of (y_true - y_pred)^2 over all entries.

    Example:
        >>> RMSE()(np.array([1.0, 2.0]), np.array([[4.0], [5.0]]))
        3.0
    """

    name = "rmse"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Return the error in the target's unit."""
        return math.sqrt(error_measures.mse(y_true, y_pred))
