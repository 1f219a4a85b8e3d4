"""Score groups by weights times the norms of their inputs."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class Wanda(Criterion):
    """Magnitudes scaled by the norms of their inputs: score = mean(|w| * norm(x)).

    `norm(x)` is the L2 norm of the input channel that a weight multiplies, over the samples and
    positions of the observed steps. The paper compares the weights of one output with each other.
    Here the pattern decides which weights are compared: four neighbours for `"2:4"`, as in the
    paper's 2:4, and all weights of a layer for `"unstructured"`.

    Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", ICLR
    2024, arXiv:2306.11695, equation 1.

    Example:
        >>> Wanda()(np.array([[1.0], [-2.0]]), activations=np.array([[3.0], [1.0]]))
        array([3., 2.])
    """

    needs_activations: ClassVar[bool] = True

    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights."""
        return np.asarray((np.abs(groups) * activations).mean(axis=1))
