"""Round each weight to the nearest integer."""

import dataclasses

import numpy as np

from keras_compress.post_training.rounding.base import Rounding, RoundingProblem


@dataclasses.dataclass(frozen=True)
class Nearest(Rounding):
    """q = clip(round(w / s), -limit, limit): minimizes the error of the weights themselves."""

    def integers(self, problem: RoundingProblem) -> np.ndarray:
        """See `Rounding.integers`."""
        return problem.nearest
