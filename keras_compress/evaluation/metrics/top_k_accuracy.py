"""Top-k accuracy."""

import dataclasses
import re
from typing import Self

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation import labels
from keras_compress.evaluation.metrics.base import Metric


@dataclasses.dataclass(frozen=True)
class TopKAccuracy(Metric):
    """Fraction of samples whose true class is among the k largest outputs.

    Of classes with equal outputs, the first comes first, as in a sorted list of the classes:
    quantized outputs often tie, and counting every tie as correct would overstate their accuracy.

    Args:
        k: How many classes count, at least 1. The name `"top_3_accuracy"` stands for k = 3.

    Example:
        >>> TopKAccuracy(2)(np.array([2, 0]), np.array([[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]]))
        0.5
    """

    k: int = 5

    def __post_init__(self):
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise InvalidArgumentError(
                f"k must be a whole number of at least 1. Received: k={self.k!r}"
            )

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Read `"top_<k>_accuracy"`; `None` for any other name."""
        match = re.fullmatch(r"top_(\d+)_accuracy", name)
        return cls(int(match[1])) if match else None

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return f"top_{self.k}_accuracy"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Return a fraction in [0, 1]."""
        truth = labels.true(y_true, y_pred)[..., None]
        score = np.take_along_axis(y_pred, truth, -1)
        earlier = np.arange(y_pred.shape[-1]) < truth
        rank = ((y_pred > score) | ((y_pred == score) & earlier)).sum(-1)
        return float((rank < self.k).mean())
