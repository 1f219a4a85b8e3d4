"""The base class of metrics: a call on targets and outputs."""

import abc
import dataclasses

import numpy as np

from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class Metric(Plugin, abc.ABC):
    """Maps targets and a model's outputs to a number."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The metric's name in results."""

    @abc.abstractmethod
    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Score outputs.

        Args:
            y_true: Targets, one entry or row per sample.
            y_pred: Float array (samples, ...), the outputs as real values.

        Returns:
            A float.
        """
