"""Mean squared error."""

import dataclasses

import numpy as np

from keras_compress.evaluation import error_measures
from keras_compress.evaluation.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class MSE(Metric):
    """Mean of (y_true - y_pred)^2 over all entries, summed in float64.

    Example:
        >>> MSE()(np.array([1.0, 2.0]), np.array([[1.0], [4.0]]))
        2.0
    """

    name = "mse"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Return the mean squared error, in the target's unit squared."""
        return error_measures.mse(y_true, y_pred)
