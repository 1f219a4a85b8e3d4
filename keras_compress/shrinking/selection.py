"""Choose which groups stay: rank by score, mind minima and multiples, stop at the budget."""

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
        round_to: Kept channels are a multiple of this, wherever the set allows it.
        ranking: `"global"` ranks all groups together, `"per_cost"` too, by scores that were
            divided by what each group costs, `"layer"` takes the same share of each set.
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
    """Return the mask of the groups to keep: the most of them whose cost is within the target.

    Args:
        scores: Array (groups,); the lowest go first.
        coupled_channels: List of group arrays; every set keeps at least its minimum.
        prunable: Mask (groups,); the others stay.
        cost: `cost(keep) -> number`, which falls as more groups go.
        target: The cost wanted.
        options: Minimum, multiple and ranking.
        widths: Channels that one group has in each set; ones by default.
        at_least: So many of the lowest groups go in any case.

    Returns:
        The mask. Where the target is out of reach, the one with the lowest cost.

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
    """Return all prunable groups in the order in which they would go."""
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
    """Turns "the first n of the order go" into a mask that keeps minima and multiples."""

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
        """Return the mask where the first `count` groups of the order are to go."""
        gone = np.zeros(len(self.prunable), bool)
        gone[steps[:count]] = True
        mask = np.ones(len(self.prunable), bool)
        for fixed, free, width in self.ranked:
            size = len(fixed) + len(free)
            wanted = len(fixed) + int(np.count_nonzero(~gone[free]))
            number = allowed(wanted, size, width, self.options)
            mask[free[max(number - len(fixed), 0) :]] = False
        return mask

    def fill(self, mask, cost, target):
        """Give back what still is within the target: a multiple less is a large step in each set.

        The best groups that went are tried first, one multiple of one set at a time.
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


def allowed(wanted, size, width, options):
    """Return how many groups of a set stay where `wanted` would: never fewer than that."""
    least = math.ceil(options.minimum * size) if options.minimum < 1 else math.ceil(options.minimum)
    number = max(wanted, math.ceil(least / (1 if options.minimum < 1 else width)), 1)
    step = options.round_to // math.gcd(options.round_to, width)
    return min(math.ceil(number / step) * step, size)
