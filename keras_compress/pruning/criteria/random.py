"""The criterion that ignores the weights: the baseline of every other one."""

import dataclasses

import numpy as np

from keras_compress.pruning.criteria.base import Criterion


@dataclasses.dataclass(frozen=True)
class Random(Criterion):
    """A uniform draw for each group: what any criterion has to beat.

    Source: Gale, Elsen and Hooker, "The state of sparsity in deep neural networks", 2019,
    arXiv:1902.09574, section 3 (random pruning as the baseline).

    Args:
        seed: Integer; the same seed gives the same scores at every step, so that masks of a
            rising schedule contain each other.

    Example:
        >>> scores = Random(seed=1)(np.zeros((3, 2)))
        >>> bool(np.all(scores == Random(seed=1)(np.ones((3, 2)))))
        True
    """

    seed: int = 0  # type: ignore[misc]  # a field where the base has a constant

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
