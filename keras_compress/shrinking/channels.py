"""Channel ids: which layer makes a channel, which weights hold it, which channels are tied.

A layer that makes channels gives each an id. Ids follow the tensors through the graph. If two
channels can only be removed together (because of an `Add`, say), their ids are tied. Tied ids
form a group, the smallest unit that can be removed (Fang et al., "DepGraph: Towards Any
Structural Pruning", CVPR 2023).
"""

import dataclasses
import math
from typing import Any, TypeAlias

import numpy as np

# Axis of a tensor -> ids of the channels along it; other axes have a fixed size.
Axes: TypeAlias = dict[int, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Binding:
    """One axis of one weight whose positions are channels.

    Args:
        layer: The layer that owns the weight.
        key: The variable, or a string for a size that only the layer's configuration holds.
        axis: The axis, counted from the front.
        ids: Array of channel ids, one for each position along the axis.
    """

    layer: Any
    key: Any
    axis: int
    ids: np.ndarray


@dataclasses.dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one call for one sample: `coefficient * product of the factors`.

    Args:
        call: The `Call` of the graph.
        coefficient: The part that removal does not change (output positions times kernel size).
        factors: Arrays of ids. Each counts as the number of its ids that are kept.
    """

    call: Any
    coefficient: int
    factors: tuple[np.ndarray, ...]


class Channels:
    """Collects channels, ties, protections and bindings while rules walk the graph.

    `None` instead of an array of ids means an axis of fixed size without tracked channels, such
    as the colours of an input image.

    Example:
        >>> channels = Channels()
        >>> first, second = channels.new(2, "conv_a"), channels.new(2, "conv_b")
        >>> channels.tie(first, second)
        >>> channels.groups().tolist()
        [0, 1, 0, 1]
    """

    def __init__(self):
        self.size = 0
        self.makers = []
        self.protections = []
        self.inexact = []
        self.costs = []
        self._bindings = {}
        self._ties = []

    @property
    def bindings(self):
        """All bindings, in the order they were added."""
        return list(self._bindings.values())

    def new(self, size, name):
        """Return the ids of `size` new channels that the layer `name` makes."""
        ids = np.arange(self.size, self.size + size)
        self.size += size
        self.makers.append((name, ids))
        return ids

    def fixed(self, size, reason):
        """Return the ids of `size` new channels that cannot be removed."""
        ids = np.arange(self.size, self.size + size)
        self.size += size
        self.protect(ids, reason)
        return ids

    def tie(self, first, second, reason="they meet a tensor of fixed size"):
        """Tie the channels of two axes of the same size, position by position."""
        if first is None or second is None:
            self.protect(first if second is None else second, reason)
            return
        self._ties.append((first, second))

    def tie_rows(self, ids):
        """Tie all ids of each row of an array of shape (groups, members)."""
        for column in range(1, ids.shape[1]):
            self.tie(ids[:, 0], ids[:, column])

    def protect(self, ids, reason):
        """Keep channels from being removed, for a reason that the report shows."""
        if ids is not None and len(ids):
            self.protections.append((ids, reason))

    def mark_inexact(self, ids, reason):
        """Record that removing these channels changes the others, even if they are zero."""
        if ids is not None:
            self.inexact.append((ids, reason))

    def bind(self, layer, key, axis, ids):
        """Record that the positions along an axis of a weight are these channels.

        A second call of a shared layer ties its channels to those of the first call.
        """
        if not isinstance(key, str):
            if not any(key is weight for weight in layer.weights):
                self.protect(ids, f"{layer.name} computes its weights from others")
                return
            axis = axis % len(key.shape)
        place = (id(layer), key if isinstance(key, str) else id(key), axis)
        if place not in self._bindings:
            self._bindings[place] = Binding(layer, key, axis, ids)
        elif self._bindings[place].ids is not None or ids is not None:
            self.tie(self._bindings[place].ids, ids, f"{layer.name} is shared with a fixed size")

    def count(self, call, coefficient, *factors):
        """Add the cost of a call. Factors are arrays of ids or plain sizes."""
        sizes = [factor for factor in factors if np.ndim(factor) == 0]
        arrays = tuple(factor for factor in factors if np.ndim(factor) == 1)
        self.costs.append(Cost(call, int(coefficient) * math.prod(sizes), arrays))

    def groups(self):
        """Return the group of each id: the connected components, numbered by their first id."""
        label = np.arange(self.size)
        if self._ties:
            first, second = (np.concatenate(side) for side in zip(*self._ties, strict=True))
            while np.any(label[first] != label[second]):
                low = np.minimum(label[first], label[second])
                np.minimum.at(label, label[first], low)
                np.minimum.at(label, label[second], low)
                label = _follow(label)
        return np.unique(label, return_inverse=True)[1]


def _follow(label):
    while np.any(label[label] != label):
        label = label[label]
    return label
