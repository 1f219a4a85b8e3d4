"""Mean absolute error."""

import dataclasses

import numpy as np

from keras_compress.evaluation import error_measures
from keras_compress.evaluation.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class MAE(Metric):
    """Mean of |y_true - y_pred| over all entries.

    Example:
        >>> MAE()(np.array([1.0, 2.0]), np.array([[1.0], [5.0]]))
        1.5
    """

    name = "mae"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Return the error in the target's unit."""
        return error_measures.mae(y_true, y_pred)
