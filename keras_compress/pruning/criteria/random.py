"""Score groups at random: the baseline for every other criterion."""

import dataclasses

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class Random(Criterion):
    """A uniformly random score for each group: the baseline that a criterion has to beat.

    Source: Gale, Elsen and Hooker, "The state of sparsity in deep neural networks", 2019,
    arXiv:1902.09574, section 3 (random pruning as the baseline).

    Args:
        seed: Integer. The same seed gives the same scores at every step, so weights that were
            pruned stay pruned as the sparsity rises.

    Example:
        >>> scores = Random(seed=1)(np.zeros((3, 2)))
        >>> bool(np.all(scores == Random(seed=1)(np.ones((3, 2)))))
        True
    """

    seed: int = 0  # type: ignore[misc]  # a field here, a constant in the base class

    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights."""
        rng = np.random.default_rng(self.seed) if rng is None else rng
        return rng.random(len(groups), dtype=np.float32)
