"""Masks of a whole model, from criterion, pattern and ranking."""

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
    """One weight array with everything that its mask depends on.

    Args:
        weights: Float array in the deployed layout (see `Pattern`).
        channel_axis: Axis of the output channels.
        pruning: The `Pruning` of the layer.
        name: Name for error messages.
        gradients: Array of the same shape as `weights`, for criteria that need it.
        activations: Array of the same shape, norms of the inputs, for criteria that need it.
    """

    weights: np.ndarray
    channel_axis: int
    pruning: Pruning
    name: str = "weights"
    gradients: Any = None
    activations: Any = None


def resolve_criterion(value: str | Criterion) -> Criterion:
    """Return the criterion given by name or as an instance."""
    return plugins.resolve("keras_compress.pruning.criteria", value, Criterion)


def resolve_pattern(value: str | Pattern) -> Pattern:
    """Return the pattern given by name (`"2:4"`) or as an instance."""
    return plugins.resolve("keras_compress.pruning.patterns", value, Pattern)


def compute_masks(items: Sequence[PrunableWeights], sparsity: float) -> list[np.ndarray]:
    """Choose the weights of a model to keep.

    Items of layer scope are ranked separately, those of global scope together.

    Args:
        items: List of `PrunableWeights`.
        sparsity: Float in [0, 1), the fraction of weights to prune.

    Returns:
        List of boolean arrays of the shapes of the items' weights, true where kept.

    Raises:
        InvalidArgumentError: Global scope with a local pattern or with more than one criterion,
            gradients or activations missing that a criterion needs, or NaN weights.

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
    global_plans = [plan for plan in plans if plan.item.pruning.scope == Scope.GLOBAL]
    if sparsity == 0:
        return [np.ones(item.weights.shape, bool) for item in items]
    scores = [plan.scores() for plan in global_plans]
    sizes = [plan.group_sizes() for plan in global_plans]
    floors = [plan.item.pruning.floor for plan in global_plans]
    masks = global_masks(scores, sizes, sparsity, floors)
    keep = dict(zip(global_plans, masks, strict=True))
    return [plan.ungroup(keep[plan]) if plan in keep else plan.mask(sparsity) for plan in plans]


def check_items(items: Sequence[PrunableWeights], sparsity: float) -> None:
    """Check before training that masks can be computed.

    Args:
        items: List of `PrunableWeights`.
        sparsity: Float in [0, 1), the final sparsity of the schedule.

    Raises:
        InvalidArgumentError: As for `compute_masks`, or a pattern that needs another sparsity.
    """
    for plan in _plans(items):
        plan.pattern.check_target(sparsity)


def _plans(items):
    plans = [_Plan.of(item, index) for index, item in enumerate(items)]
    _check_global([plan for plan in plans if plan.item.pruning.scope == Scope.GLOBAL])
    return plans


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """An item with its resolved criterion and pattern, and its index."""

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
            # With the index in the seed, layers of equal shape draw different numbers.
            rng=np.random.default_rng([self.criterion.seed, self.index]),
        )

    def group_sizes(self):
        return self.pattern.group_sizes(self.item.weights.shape, self.item.channel_axis)

    def ungroup(self, keep):
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
                "so a ranking over the whole model is meaningless: use scope='layer'. "
                f"Received: scope='global' for {plan.item.name!r}"
            )
    criteria = {plan.criterion for plan in plans}
    if len(criteria) > 1:
        listed = ", ".join(sorted(repr(criterion) for criterion in criteria))
        raise InvalidArgumentError(
            "A global ranking compares scores, so all layers with scope='global' need the same "
            f"criterion. Received: {listed}"
        )
