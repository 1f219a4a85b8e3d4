"""Ranking: which groups of weights to prune, within one layer or over a whole model."""

from collections.abc import Sequence

import numpy as np

from keras_compress.errors import InvalidArgumentError


def keep_largest(scores: np.ndarray, n_pruned: int) -> np.ndarray:
    """Keep all groups except the `n_pruned` with the lowest scores.

    The k-th smallest score is selected in linear time, without sorting. Among equal scores the
    first groups are pruned first. So exactly `n_pruned` groups are pruned, and with a larger
    `n_pruned` the same groups are pruned and more.

    Args:
        scores: Float array (n_groups,).
        n_pruned: Integer in [0, n_groups].

    Returns:
        Boolean array (n_groups,), true where the group is kept.

    Raises:
        InvalidArgumentError: NaN scores, which have no order.

    Example:
        >>> keep_largest(np.array([3.0, 1.0, 2.0, 1.0]), 2)
        array([ True, False,  True, False])
    """
    scores = np.asarray(scores)
    check_numbers(scores)
    if n_pruned <= 0:
        return np.ones(scores.shape, bool)
    if n_pruned >= scores.size:
        return np.zeros(scores.shape, bool)
    threshold = np.partition(scores, n_pruned - 1)[n_pruned - 1]
    keep = scores > threshold
    surplus = scores.size - np.count_nonzero(keep) - n_pruned
    if surplus:
        ties = np.flatnonzero(scores == threshold)
        keep[ties[-surplus:]] = True
    return keep


def layer_mask(scores: np.ndarray, sparsity: float) -> np.ndarray:
    """Rank the groups of one layer.

    Args:
        scores: Float array (n_groups,); higher is kept.
        sparsity: Float in [0, 1), the fraction of groups to prune.

    Returns:
        Boolean array (n_groups,), false for round(sparsity * n_groups) groups. At least one group
        stays true, because a layer without weights would cut the network.
    """
    n_groups = len(scores)
    return keep_largest(scores, min(round(sparsity * n_groups), n_groups - 1))


def global_masks(
    scores: Sequence[np.ndarray],
    sizes: Sequence[np.ndarray],
    sparsity: float,
    floors: Sequence[float] | None = None,
) -> list[np.ndarray]:
    """Rank the groups of all layers together, so that redundant layers lose more.

    The groups with the lowest scores are pruned until the number of their weights is as close to
    `sparsity` times all weights as whole groups allow. The best groups of each layer are kept: at
    least one, and at least the fraction `floor * (1 - sparsity)` of the layer's groups. Without a
    floor a layer with many inputs per output, whose weights are small, or with few weights can lose
    almost all of them, and the network with it (Tanaka et al. 2020, "Pruning neural networks
    without any data by iteratively conserving synaptic flow", section 3: layer collapse).

    Args:
        scores: List of float arrays (n_groups,), one for each layer, from the same criterion.
        sizes: List of integer arrays (n_groups,), the number of weights in each group.
        sparsity: Float in [0, 1), the fraction of all weights to prune.
        floors: The floor of each layer, in [0, 1]. Default 0 for all.

    Returns:
        List of boolean arrays (n_groups,), true where the group is kept.

    Raises:
        InvalidArgumentError: NaN scores.

    Example:
        >>> global_masks([np.array([5.0, 6.0]), np.array([1.0, 2.0])], [np.ones(2)] * 2, 0.25)
        [array([ True,  True]), array([False,  True])]
    """
    if not scores:
        return []
    ranked = np.concatenate([np.asarray(layer, np.float32) for layer in scores])
    check_numbers(ranked)
    starts = np.cumsum([0] + [len(layer) for layer in scores])
    n_kept = 0
    for start, layer, floor in zip(starts[:-1], scores, floors or [0.0] * len(scores), strict=True):
        best = _best(layer, max(1, int(floor * (1 - sparsity) * len(layer))))
        ranked[start + best] = np.inf
        n_kept += len(best)
    n_pruned = _count_for_budget(ranked, np.concatenate(sizes), sparsity)
    keep = keep_largest(ranked, min(n_pruned, len(ranked) - n_kept))
    return np.split(keep, starts[1:-1])


def _best(scores, count):
    """Return the indices of the groups with the highest scores."""
    return np.flatnonzero(keep_largest(scores, len(scores) - count))


def _count_for_budget(scores, sizes, sparsity):
    """Return how many of the lowest groups contain about the fraction `sparsity` of all weights."""
    if sizes.min() == sizes.max():
        return round(sparsity * len(sizes))
    # Groups of different sizes are blocks or channels, few enough to sort.
    cumulative = np.cumsum(sizes[np.argsort(scores, kind="stable")])
    return int(np.argmin(np.abs(np.insert(cumulative, 0, 0) - sparsity * cumulative[-1])))


def check_numbers(scores: np.ndarray) -> None:
    """Check that no score is NaN, because NaN has no order."""
    if np.isnan(scores).any():
        raise InvalidArgumentError(
            "The scores of weights must be numbers. NaN weights mean that training has "
            "diverged: lower the learning rate or clip the gradients. "
            f"Received: {np.count_nonzero(np.isnan(scores))} NaN in {scores.size} scores"
        )
