"""Choose which groups stay: rank by score, mind minima and multiples, stop at the budget."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_compress.errors import InvalidArgumentError

RANKINGS = ("global", "per_cost", "layer")


@dataclasses.dataclass(frozen=True)
class Rules:
    """What every choice must hold to.

    Args:
        minimum: Channels that each space keeps: a number, or a fraction below 1 of its size.
        round_to: Kept channels are a multiple of this, wherever the space allows it.
        ranking: `"global"` ranks all groups together, `"per_cost"` too, by scores that were
            divided by what each group costs, `"layer"` takes the same share of each space.
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


def select(scores, spaces, prunable, cost: Callable, target, rules: Rules, widths=None, at_least=0):
    """Return the mask of the groups to keep: the most of them whose cost is within the target.

    Args:
        scores: Array (groups,); the lowest go first.
        spaces: List of group arrays; every space keeps at least its minimum.
        prunable: Mask (groups,); the others stay.
        cost: `cost(keep) -> number`, which falls as more groups go.
        target: The cost wanted.
        rules: Minimum, multiple and ranking.
        widths: Channels that one group has in each space; ones by default.
        at_least: So many of the lowest groups go in any case.

    Returns:
        The mask. Where the target is out of reach, the one with the lowest cost.

    Example:
        >>> scores, everything = np.array([3.0, 1.0, 2.0]), np.ones(3, bool)
        >>> select(scores, [np.arange(3)], everything, np.count_nonzero, 2, Rules())
        array([ True, False,  True])
    """
    widths = [1] * len(spaces) if widths is None else widths
    steps = _steps(scores, spaces, prunable, rules)
    chooser = _Chooser(scores, spaces, prunable, rules, widths)
    low, high = min(at_least, len(steps)), len(steps)
    while low < high:
        middle = (low + high) // 2
        if cost(chooser.keep(steps, middle)) <= target:
            high = middle
        else:
            low = middle + 1
    return chooser.fill(chooser.keep(steps, low), cost, target)


def _steps(scores, spaces, prunable, rules):
    """Return all prunable groups in the order in which they would go."""
    if rules.ranking != "layer":
        members = np.concatenate(spaces) if spaces else np.arange(0)
        members = members[prunable[members]]
        return members[np.argsort(scores[members], kind="stable")]
    order, rank = [], []
    for space in spaces:
        members = space[prunable[space]]
        order.append(members[np.argsort(scores[members], kind="stable")])
        rank.append((np.arange(len(members)) + 1) / max(len(members), 1))
    return np.concatenate(order)[np.argsort(np.concatenate(rank), kind="stable")]


class _Chooser:
    """Turns "the first n of the order go" into a mask that holds to the rules."""

    def __init__(self, scores, spaces, prunable, rules, widths):
        self.scores = scores
        self.prunable = prunable
        self.ranked = []
        self.rules = rules
        for space, width in zip(spaces, widths, strict=True):
            fixed, free = space[~prunable[space]], space[prunable[space]]
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
            number = allowed(wanted, size, width, self.rules)
            mask[free[max(number - len(fixed), 0) :]] = False
        return mask

    def fill(self, mask, cost, target):
        """Give back what still is within the target: a multiple less is a large step in each space.

        The best groups that went are tried first, one multiple of one space at a time.
        """
        if self.rules.round_to == 1 or cost(mask) > target:
            return mask
        open_spaces = list(self.ranked)
        while open_spaces:
            offers = [
                (self._next(mask, free, width), free, width) for _, free, width in open_spaces
            ]
            best = max(range(len(offers)), key=lambda i: self._worth(offers[i][0]))
            trial = mask.copy()
            trial[offers[best][0]] = True
            if len(offers[best][0]) and cost(trial) <= target:
                mask = trial
            else:
                open_spaces.pop(best)
        return mask

    def _next(self, mask, free, width):
        step = self.rules.round_to // math.gcd(self.rules.round_to, width)
        gone = free[~mask[free]][:step]
        return gone[self.scores[gone] > -np.inf]

    def _worth(self, groups):
        return self.scores[groups].max() if len(groups) else -np.inf


def allowed(wanted, size, width, rules):
    """Return how many groups of a space stay where `wanted` would: never fewer than that."""
    least = math.ceil(rules.minimum * size) if rules.minimum < 1 else math.ceil(rules.minimum)
    number = max(wanted, math.ceil(least / (1 if rules.minimum < 1 else width)), 1)
    step = rules.round_to // math.gcd(rules.round_to, width)
    return min(math.ceil(number / step) * step, size)
