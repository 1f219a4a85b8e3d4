"""The dependency graph of a model: which channels of which weights must be removed together."""

import collections
import dataclasses
from typing import Any

import numpy as np

from keras_compress.errors import UnknownNameError, UnsupportedModelError
from keras_compress.graph.graph import trace
from keras_compress.layers import base as layer_types
from keras_compress.shrinking.channels import Channels
from keras_compress.shrinking.propagation.base import Unknown, rule_of


@dataclasses.dataclass(frozen=True)
class Slot:
    """One axis of one weight, with the group of each position.

    Args:
        layer: The layer that owns the weight.
        weight: The variable.
        axis: The axis, counted from the front.
        groups: Array of group numbers, one for each position.
    """

    layer: Any
    weight: Any
    axis: int
    groups: np.ndarray


class DependencyGraph:
    """The groups of channels of a model, with the weights and costs that depend on each.

    Args:
        model: A built Sequential or functional `keras.Model`.
        rules: `PropagationRule` instances for custom layers.
        exclude: Names of layers whose output channels are kept.

    Raises:
        UnsupportedModelError: The model is subclassed, not built, or wrapped by `kc.compress`.
        UnknownNameError: The model has no layer of a name in `exclude`.

    Attributes:
        graph: The `keras_compress.graph.graph.Graph`.
        size: Number of groups.
        slots: The `Slot` of each bound axis of each weight.
        coupled_channels: Sets of groups, as arrays. The groups of a set are made by the same
            layers. Ranking, minima and multiples apply to each set.
        coupled_makers: The layers that make the channels of each of these sets.
        widths: How many channels of one layer a group has, for each of these sets.
        makers: `(name, groups)` of each layer that makes channels.
        protected: `{group: reason}` of groups that must stay.
        inexact: `{group: reason}` of groups whose removal always changes the outputs.

    Example:
        >>> import keras
        >>> layers = [keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)]
        >>> DependencyGraph(keras.Sequential(layers)).size
        10
    """

    def __init__(self, model, rules=(), exclude=()):
        self.model = model
        self.graph = trace(model)
        _refuse_compressed(self.graph)
        self.rules = tuple(rules)
        self._channels = Channels()
        self._layout = {}
        self._propagate(frozenset(exclude))
        self._group_of = self._channels.groups()
        self.size = int(self._group_of.max()) + 1 if self._group_of.size else 0
        self._bound = {(id(b.layer), _key(b.key), b.axis): b for b in self._channels.bindings}
        self.slots = [
            Slot(b.layer, b.key, b.axis, self._group_of[b.ids])
            for b in self._channels.bindings
            if b.ids is not None and not isinstance(b.key, str)
        ]
        self._read = {
            (id(weight), axis % len(weight.shape))
            for call in self.graph.calls
            for weight, axis in self._reads(call)
        }
        self.costs = [
            (c.call, c.coefficient, tuple(self._group_of[f] for f in c.factors))
            for c in self._channels.costs
        ]
        self.makers = [
            (name.split(":")[0], self._group_of[ids]) for name, ids in self._channels.makers
        ]
        self.coupled_channels, self.coupled_makers = self._find_coupled_channels()
        self.widths = self._find_widths()
        self.protected = self._reasons(self._channels.protections)
        self.inexact = self._reasons(self._channels.inexact)

    @property
    def prunable(self):
        """Mask of the groups that may be removed."""
        mask = np.ones(self.size, bool)
        mask[list(self.protected)] = False
        return mask

    def rule(self, call):
        """Return the rule of a call."""
        return rule_of(call.operation, self.rules)

    def axes(self, value):
        """Return the groups along the axes of a value, as `{axis: groups}`."""
        return {axis: self._group_of[ids] for axis, ids in self._layout[value].items()}

    def groups_along(self, layer, key, axis):
        """Return the groups along an axis of a weight or size; `None` if its size is fixed."""
        if not isinstance(key, str):
            axis = axis % len(key.shape)
        binding = self._bound.get((id(layer), _key(key), axis))
        return None if binding is None or binding.ids is None else self._group_of[binding.ids]

    def is_read(self, slot):
        """Tell whether a layer reads its inputs through a slot, rather than making channels."""
        return (id(slot.weight), slot.axis) in self._read

    def macs(self, keep=None, calls=None):
        """Return the multiply-accumulates of one sample, by call name.

        Args:
            keep: Mask of the groups that stay. Default: all.
            calls: The calls that stay. Default: all.
        """
        keep = np.ones(self.size, bool) if keep is None else keep
        result: collections.Counter[str] = collections.Counter()
        for call, coefficient, factors in self.costs:
            if calls is not None and call not in calls:
                continue
            counts = [np.count_nonzero(keep[factor]) for factor in factors]
            result[call.name] += coefficient * int(np.prod(counts, dtype=object))
        return dict(result)

    @property
    def has_free_sizes(self):
        """Whether a counted call has unknown sizes besides the batch."""
        return any(None in value.shape[1:] for call, *_ in self.costs for value in call.outputs)

    def unknown(self):
        """Return the names of the calls that channels reach but no rule supports."""
        return [
            call.name
            for call in self.graph.calls
            if isinstance(self.rule(call), Unknown)
            and any(self._layout[value] for value in call.inputs)
        ]

    def _propagate(self, exclude):
        channels, layout = self._channels, self._layout
        unknown = exclude - {call.name for call in self.graph.calls}
        if unknown:
            raise UnknownNameError("layer", min(unknown), {c.name for c in self.graph.calls})
        layout.update((value, {}) for value in self.graph.flat_inputs)
        for call in self.graph.calls:
            inputs = [layout[value] for value in call.inputs]
            before = channels.size
            outputs = self.rule(call).propagate(call, inputs, channels)
            layout.update(zip(call.outputs, outputs, strict=True))
            if call.name in exclude:
                channels.protect(np.arange(before, channels.size), f"{call.name} is excluded")
        for value in self.graph.flat_outputs:
            for ids in layout[value].values():
                channels.protect(ids, "an output of the model")

    def _reads(self, call):
        rule = self.rule(call)
        yield from (place[1:] for place in rule.mixes(call))
        yield from (place[:2] for place in rule.internals(call.operation))

    def _find_coupled_channels(self):
        """Return the sets of groups that the same layers make, and the names of those layers."""
        makers_of: list[set[int]] = [set() for _ in range(self.size)]
        for number, (_, groups) in enumerate(self.makers):
            for group in np.unique(groups):
                makers_of[group].add(number)
        coupled_channels = collections.defaultdict(list)
        for group, numbers in enumerate(makers_of):
            if numbers:
                coupled_channels[frozenset(numbers)].append(group)
        names = [
            tuple(dict.fromkeys(self.makers[number][0] for number in sorted(numbers)))
            for numbers in coupled_channels
        ]
        return [np.array(groups) for groups in coupled_channels.values()], names

    def _find_widths(self):
        """Return how many channels of one layer a group of each set has."""
        counts = np.zeros(self.size, int)
        for _, groups in self.makers:
            counts = np.maximum(counts, np.bincount(groups, minlength=self.size))
        return [int(counts[coupled].max()) for coupled in self.coupled_channels]

    def _reasons(self, entries):
        reasons: dict[int, str] = {}
        for ids, reason in entries:
            for group in np.unique(self._group_of[ids]):
                reasons.setdefault(int(group), reason)
        return reasons


def _refuse_compressed(graph):
    """Refuse wrapped layers: their masks, ranges and codebooks have the full layer's shapes."""
    wrapped = [call.name for call in graph.calls if layer_types.is_of_compress(call.operation)]
    if wrapped:
        raise UnsupportedModelError(
            "Channels can only be removed from plain models. Shrink before kc.compress, or remove "
            "the wrappers first, kc.shrink(kc.strip(model), ...), which keeps the pruned zeros, "
            f"and compress the smaller model. Received: {graph.name}, where kc.compress wrapped "
            f"{wrapped[0]} and {len(wrapped) - 1} others"
        )


def _key(key):
    return key if isinstance(key, str) else id(key)
