"""Top-1 accuracy."""

import dataclasses

import numpy as np

from keras_compress.evaluation import labels
from keras_compress.evaluation.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class Accuracy(Metric):
    """Fraction of samples whose predicted class is the true one.

    Targets are integer labels or one-hot rows; `labels.predicted` says how outputs become
    classes, with a single output as the binary case.

    Example:
        >>> Accuracy()(np.array([1, 0]), np.array([[0.2, 0.8], [0.4, 0.6]]))
        0.5
    """

    name = "accuracy"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Return a fraction in [0, 1]."""
        return float((labels.true(y_true, y_pred) == labels.predicted(y_pred)).mean())
