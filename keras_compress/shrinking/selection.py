"""Choose which groups stay: rank them by score, keep minima and multiples, meet the budget."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_compress.errors import InvalidArgumentError

RANKINGS = ("global", "per_cost", "layer")


@dataclasses.dataclass(frozen=True)
class SelectionOptions:
    """How the groups to keep are selected.

    Args:
        minimum: Channels that each set keeps: a number, or a fraction below 1 of its size.
        round_to: Kept channels are a multiple of this if the set has enough channels.
        ranking: `"global"` ranks all groups together; `"per_cost"` does the same with scores
            divided by the cost of each group; `"layer"` removes the same share of each set.
    """

    minimum: float = 1
    round_to: int = 1
    ranking: str = "global"

    def __post_init__(self):
        if self.ranking not in RANKINGS:
            raise InvalidArgumentError(
                f"ranking must be one of {', '.join(RANKINGS)}. Received: ranking={self.ranking!r}"
            )
        if not self.minimum >= 0:
            raise InvalidArgumentError(
                "minimum must be a number of channels, or a fraction of them below 1. "
                f"Received: minimum={self.minimum!r}"
            )


def select(
    scores,
    coupled_channels,
    prunable,
    cost: Callable,
    target,
    options: SelectionOptions,
    widths=None,
    at_least=0,
):
    """Return the mask of the groups to keep: as many as the target cost allows.

    Args:
        scores: Array (groups,); the lowest are removed first.
        coupled_channels: List of group arrays; every set keeps at least its minimum.
        prunable: Mask (groups,) of the groups that may be removed.
        cost: `cost(keep) -> number`, which falls as more groups are removed.
        target: The highest cost allowed.
        options: Minimum, multiple and ranking.
        widths: Number of channels that one group has in each set. Default: 1.
        at_least: Number of lowest-ranked groups that are removed in any case.

    Returns:
        The mask. If the target is out of reach, the mask with the lowest cost.

    Example:
        >>> scores, everything = np.array([3.0, 1.0, 2.0]), np.ones(3, bool)
        >>> select(scores, [np.arange(3)], everything, np.count_nonzero, 2, SelectionOptions())
        array([ True, False,  True])
    """
    widths = [1] * len(coupled_channels) if widths is None else widths
    steps = _steps(scores, coupled_channels, prunable, options)
    chooser = _Chooser(scores, coupled_channels, prunable, options, widths)
    low, high = min(at_least, len(steps)), len(steps)
    while low < high:
        middle = (low + high) // 2
        if cost(chooser.keep(steps, middle)) <= target:
            high = middle
        else:
            low = middle + 1
    return chooser.fill(chooser.keep(steps, low), cost, target)


def _steps(scores, coupled_channels, prunable, options):
    """Return all prunable groups in the order in which they would be removed."""
    if options.ranking != "layer":
        members = np.concatenate(coupled_channels) if coupled_channels else np.arange(0)
        members = members[prunable[members]]
        return members[np.argsort(scores[members], kind="stable")]
    order, rank = [], []
    for coupled in coupled_channels:
        members = coupled[prunable[coupled]]
        order.append(members[np.argsort(scores[members], kind="stable")])
        rank.append((np.arange(len(members)) + 1) / max(len(members), 1))
    return np.concatenate(order)[np.argsort(np.concatenate(rank), kind="stable")]


class _Chooser:
    """Turns "remove the first n groups of the order" into a mask with minima and multiples."""

    def __init__(self, scores, coupled_channels, prunable, options, widths):
        self.scores = scores
        self.prunable = prunable
        self.ranked = []
        self.options = options
        for coupled, width in zip(coupled_channels, widths, strict=True):
            fixed, free = coupled[~prunable[coupled]], coupled[prunable[coupled]]
            best_first = free[np.argsort(-scores[free], kind="stable")]
            self.ranked.append((fixed, best_first, width))

    def keep(self, steps, count):
        """Return the mask that removes the first `count` groups, as far as the options allow."""
        gone = np.zeros(len(self.prunable), bool)
        gone[steps[:count]] = True
        mask = np.ones(len(self.prunable), bool)
        for fixed, free, width in self.ranked:
            size = len(fixed) + len(free)
            remaining = len(fixed) + int(np.count_nonzero(~gone[free]))
            number = allowed(remaining, size, width, self.options)
            mask[free[max(number - len(fixed), 0) :]] = False
        return mask

    def fill(self, mask, cost, target):
        """Keep more groups while the target allows it: rounding to multiples may remove too many.

        The best of the removed groups are tried first, one multiple of one set at a time.
        """
        if self.options.round_to == 1 or cost(mask) > target:
            return mask
        open_sets = list(self.ranked)
        while open_sets:
            offers = [(self._next(mask, free, width), free, width) for _, free, width in open_sets]
            best = max(range(len(offers)), key=lambda i: self._worth(offers[i][0]))
            trial = mask.copy()
            trial[offers[best][0]] = True
            if len(offers[best][0]) and cost(trial) <= target:
                mask = trial
            else:
                open_sets.pop(best)
        return mask

    def _next(self, mask, free, width):
        step = self.options.round_to // math.gcd(self.options.round_to, width)
        gone = free[~mask[free]][:step]
        return gone[self.scores[gone] > -np.inf]

    def _worth(self, groups):
        return self.scores[groups].max() if len(groups) else -np.inf


def allowed(remaining, size, width, options):
    """Round the number of remaining groups of a set up to its minimum and multiple."""
    least = math.ceil(options.minimum * size) if options.minimum < 1 else math.ceil(options.minimum)
    number = max(remaining, math.ceil(least / (1 if options.minimum < 1 else width)), 1)
    step = options.round_to // math.gcd(options.round_to, width)
    return min(math.ceil(number / step) * step, size)
