"""Masks of a whole model: criterion, pattern and ranking put together."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.criteria.base import Criterion
from keras_compress.pruning.patterns.base import Pattern
from keras_compress.pruning.ranking import global_masks
from keras_compress.spec import Pruning, Scope
from keras_compress.support import plugins


@dataclasses.dataclass(frozen=True)
class PrunableWeights:
    """One weight array with all that its mask depends on.

    Args:
        weights: Float array in the deployed layout (see `Pattern`).
        channel_axis: Axis of the output channels.
        pruning: The `Pruning` of the layer.
        name: What errors call it.
        gradients: Array of the shape of `weights`, for criteria that need it.
        activations: Array of that shape, norms of the inputs, for criteria that need it.
    """

    weights: np.ndarray
    channel_axis: int
    pruning: Pruning
    name: str = "weights"
    gradients: Any = None
    activations: Any = None


def resolve_criterion(value: str | Criterion) -> Criterion:
    """Return the criterion that a name or an instance stands for."""
    return plugins.resolve("keras_compress.pruning.criteria", value, Criterion)


def resolve_pattern(value: str | Pattern) -> Pattern:
    """Return the pattern that a name (`"2:4"`) or an instance stands for."""
    return plugins.resolve("keras_compress.pruning.patterns", value, Pattern)


def compute_masks(items: Sequence[PrunableWeights], sparsity: float) -> list[np.ndarray]:
    """Choose the weights of a model that stay.

    Items of layer scope are ranked each by itself, those of global scope together.

    Args:
        items: List of `PrunableWeights`.
        sparsity: Float in [0, 1), the fraction of weights to prune.

    Returns:
        List of boolean arrays, each of the shape of its item's weights, true where kept.

    Raises:
        InvalidArgumentError: Global scope with a pattern that ranks locally or with more than
            one criterion, a criterion without the gradients or activations that it needs, or
            weights that are NaN.

    Example:
        >>> item = PrunableWeights(np.array([[1.0, -2.0, 0.5, 3.0]]), 0, Pruning())
        >>> compute_masks([item], 0.5)
        [array([[False,  True, False,  True]])]
    """
    if not 0 <= sparsity < 1:
        raise InvalidArgumentError(
            f"sparsity must be a fraction in [0, 1). Received: sparsity={sparsity!r}"
        )
    plans = _plans(items)
    together = [plan for plan in plans if plan.item.pruning.scope == Scope.GLOBAL]
    if sparsity == 0:
        return [np.ones(item.weights.shape, bool) for item in items]
    scores, sizes = [plan.scores() for plan in together], [plan.group_sizes() for plan in together]
    keep = dict(zip(together, global_masks(scores, sizes, sparsity), strict=True))
    return [plan.spread(keep[plan]) if plan in keep else plan.mask(sparsity) for plan in plans]


def check_items(items: Sequence[PrunableWeights], sparsity: float) -> None:
    """Check that masks can be computed, before training and not in the middle of it.

    Args:
        items: List of `PrunableWeights`.
        sparsity: Float in [0, 1), where the schedule ends.

    Raises:
        InvalidArgumentError: As `compute_masks`, or a pattern that needs another sparsity.
    """
    for plan in _plans(items):
        plan.pattern.check_target(sparsity)


def _plans(items):
    plans = [_Plan.of(item, index) for index, item in enumerate(items)]
    _check_global([plan for plan in plans if plan.item.pruning.scope == Scope.GLOBAL])
    return plans


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """An item with its criterion and pattern, and its place among the items."""

    item: PrunableWeights
    criterion: Criterion
    pattern: Pattern
    index: int

    @classmethod
    def of(cls, item, index):
        criterion = resolve_criterion(item.pruning.criterion)
        for need in ("gradients", "activations"):
            if getattr(criterion, f"needs_{need}") and getattr(item, need) is None:
                raise InvalidArgumentError(
                    f"Criterion {criterion!r} needs the {need} of a layer. "
                    f"Received: {need}=None for {item.name!r}"
                )
        return cls(item, criterion, resolve_pattern(item.pruning.pattern), index)

    def scores(self):
        return self.criterion(
            self._group(self.item.weights),
            gradients=None if self.item.gradients is None else self._group(self.item.gradients),
            activations=(
                None if self.item.activations is None else self._group(self.item.activations)
            ),
            # The index keeps layers of equal shape from drawing equal numbers.
            rng=np.random.default_rng([self.criterion.seed, self.index]),
        )

    def group_sizes(self):
        return self.pattern.group_sizes(self.item.weights.shape, self.item.channel_axis)

    def spread(self, keep):
        return self.pattern.ungroup(keep, self.item.weights.shape, self.item.channel_axis)

    def mask(self, sparsity):
        shape, channel_axis = self.item.weights.shape, self.item.channel_axis
        return self.pattern.mask(self.scores(), sparsity, shape, channel_axis)

    def _group(self, values):
        return self.pattern.group(values, self.item.channel_axis)


def _check_global(plans):
    for plan in plans:
        if plan.pattern.local:
            raise InvalidArgumentError(
                f"Pattern {plan.item.pruning.pattern!r} ranks weights against their neighbours, "
                "so a ranking over the model has no meaning: take scope='layer'. "
                f"Received: scope='global' for {plan.item.name!r}"
            )
    criteria = {plan.criterion for plan in plans}
    if len(criteria) > 1:
        named = ", ".join(sorted(repr(criterion) for criterion in criteria))
        raise InvalidArgumentError(
            "A global ranking compares scores, so all layers of scope='global' need one "
            f"criterion. Received: {named}"
        )
