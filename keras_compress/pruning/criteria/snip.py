"""Score groups by connection sensitivity."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class Snip(Criterion):
    """The sensitivity of the loss to the weights of a group: score = sum(|w * dL/dw|).

    The gradient is summed over the observed steps, as for one large batch. To prune at
    initialization, as the paper does, use `kc.OneShot` and `observed_steps=1`.

    Source: Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity",
    ICLR 2019, arXiv:1810.02340, equation 5, without its normalization, which keeps the order.

    Example:
        >>> Snip()(np.array([[1.0], [2.0]]), gradients=np.array([[0.5], [-1.0]]))
        array([0.5, 2. ])
    """

    needs_gradients: ClassVar[bool] = True

    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights."""
        return np.asarray(np.abs(groups * gradients).sum(axis=1))
