"""What was pruned before a training stays pruned in it."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import ops

from keras_compress.callbacks.pruning_targets import Target
from keras_compress.spec import Scope


class PrunedBefore:
    """Remembers how much of each kernel is pruned when a training begins.

    A schedule that starts again, in a second `fit` with a new callback, prescribes less than is
    pruned already. The masks then stay as they are until it prescribes more. The masks of a plain
    model are not saved, so they begin as the zeros of its kernels.

    Args:
        targets: The targets of the training.
        stores_masks: Whether masks are weights of the model (a compressed one).
    """

    def __init__(self, targets: Sequence[Target], stores_masks: bool):
        if not stores_masks:
            for target in targets:
                _mask_zeros(target)
        self._pruned = {target: target.counts()[0] for target in targets}

    def share(self, targets: Sequence[Target]) -> float:
        """Return the fraction of the weights of some targets that was pruned."""
        return sum(self._pruned[t] for t in targets) / sum(t.counts()[1] for t in targets)

    def reaches(self, targets: Sequence[Target], sparsity: float) -> bool:
        """Tell whether targets were pruned to a sparsity, within one weight in each."""
        return all(self._pruned[t] > sparsity * t.counts()[1] - 1 for t in targets)

    def without_loss(
        self, targets: Sequence[Target], masks: Sequence[np.ndarray]
    ) -> Iterator[tuple[Target, np.ndarray]]:
        """Yield the targets whose new masks prune no less than was pruned, with these masks.

        Targets that are ranked together are also counted together.

        Args:
            targets: The targets of one schedule.
            masks: Their new masks in the deployed layout, true where a weight is kept.
        """
        pairs = list(zip(targets, masks, strict=True))
        ranked_together = [pair for pair in pairs if pair[0].pruning.scope == Scope.GLOBAL]
        if self._keeps(ranked_together):
            yield from ranked_together
        for pair in pairs:
            if pair[0].pruning.scope != Scope.GLOBAL and self._keeps([pair]):
                yield pair

    def _keeps(self, pairs):
        zeros = sum(mask.size - np.count_nonzero(mask) for _, mask in pairs)
        return zeros >= sum(self._pruned[target] for target, _ in pairs)


def _mask_zeros(target):
    """Mask the zeros of a plain kernel, unless they are its initial values."""
    weights = ops.convert_to_numpy(target.kernel.variable)
    # The wrapper of a compressed layer has no initializers.
    layer = getattr(target.layer, "layer", target.layer)
    initializer = target.kernel.kernel.initializer(layer)
    if weights.any() and not isinstance(initializer, keras.initializers.Identity):
        target.kernel.mask.assign((weights != 0).astype(weights.dtype))
