"""The budget of a smaller model, and the cost of keeping a choice of groups."""

import collections
import dataclasses
import functools
import math

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.latency_costs import LatencyCosts

KINDS = ("macs", "channels", "parameters", "bytes", "latency")


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much of the original cost may remain.

    Args:
        kind: `"macs"`, `"channels"`, `"parameters"`, `"bytes"` or `"latency"`.
        amount: A fraction up to 1, or an absolute amount above 1.
    """

    kind: str
    amount: float

    @classmethod
    def of(cls, **amounts):
        """Return the budget that the arguments of `shrink` set; half of the MACs by default.

        Raises:
            InvalidArgumentError: More than one amount is set, or an amount is 0 or less.
        """
        given = {kind: amount for kind, amount in amounts.items() if amount is not None}
        if not given:
            return cls("macs", 0.5)
        if len(given) > 1:
            raise InvalidArgumentError(
                f"Only one of {', '.join(KINDS)} can be the budget. "
                f"Received: {', '.join(f'{k}={v!r}' for k, v in given.items())}"
            )
        ((kind, amount),) = given.items()
        if not isinstance(amount, int | float | np.number) or not amount > 0:
            raise InvalidArgumentError(
                f"{kind} must be the fraction that may remain, in (0, 1], or a number above 1; "
                f"0 would empty every layer. Received: {kind}={amount!r}"
            )
        return cls(kind, float(amount))

    def target(self, whole):
        """Return the cost that may remain, for a model whose full cost is `whole`."""
        return self.amount if self.amount > 1 else self.amount * whole


class Costs:
    """MACs, channels, parameters, bytes and time of a model for any choice of groups.

    Args:
        graph: A `DependencyGraph`.
        latencies: Measured `{layer name: time}`; needed only for `"latency"`.
    """

    def __init__(self, graph, latencies=None):
        self.graph = graph
        self._latencies = latencies
        self._weights = _weights(graph)
        members = np.concatenate(graph.coupled_channels) if graph.coupled_channels else np.arange(0)
        self._made = members[graph.prunable[members]]

    def of(self, kind, keep):
        """Return the cost of one kind when the groups in a mask are kept."""
        return getattr(self, kind)(keep)

    def macs(self, keep):
        """Multiply-accumulates of one sample."""
        return sum(self.graph.macs(keep).values())

    def channels(self, keep):
        """Kept channels among those that could be removed."""
        return int(keep[self._made].sum())

    def parameters(self, keep):
        """Number of weights in all layers."""
        return sum(_count(weight, axes, keep) for weight, axes in self._weights)

    def bytes(self, keep):
        """Bytes of all weights in their own data types."""
        return sum(
            _count(weight, axes, keep) * np.dtype(weight.dtype).itemsize
            for weight, axes in self._weights
        )

    def latency(self, keep):
        """Estimated time of one sample, in the unit of the latencies."""
        return self._latency(keep)

    @functools.cached_property
    def _latency(self):
        return LatencyCosts(self.graph, self._latencies)

    def savings(self, kind):
        """Estimate how much of a cost removing each group saves: its derivative at the full model.

        Args:
            kind: See `Budget`.

        Returns:
            Array (groups,); a small positive number for groups that cost nothing.
        """
        if kind == "latency":
            result = self._latency.savings()
        elif kind == "macs":
            result = np.zeros(self.graph.size)
            for _, coefficient, factors in self.graph.costs:
                _share(result, factors, coefficient * math.prod(map(len, factors)))
        elif kind == "channels":
            result = np.ones(self.graph.size)
        else:
            result = np.zeros(self.graph.size)
            for weight, axes in self._weights:
                size = np.dtype(weight.dtype).itemsize if kind == "bytes" else 1
                _share(result, axes.values(), size * math.prod(weight.shape))
        return np.maximum(result, 1e-9 * result.max(initial=1e-9))

    def by_layer(self, keep):
        """Return `{layer name: (parameters, bytes)}`."""
        result: dict[str, np.ndarray] = collections.defaultdict(lambda: np.zeros(2, int))
        owners = {id(w): c.name for c in self.graph.graph.calls for w in _weights_of(c)}
        for weight, axes in self._weights:
            count = _count(weight, axes, keep)
            size = np.dtype(weight.dtype).itemsize
            result[owners[id(weight)]] += np.array([count, count * size])
        return {name: tuple(int(n) for n in pair) for name, pair in result.items()}


def _share(result, factors, whole):
    """Add to each group its share of a product of factors."""
    for factor in factors:
        np.add.at(result, factor, whole / len(factor))


def _weights(graph):
    axes: dict[int, dict[int, np.ndarray]] = collections.defaultdict(dict)
    for slot in graph.slots:
        axes[id(slot.weight)][slot.axis] = slot.groups
    weights = {id(w): w for call in graph.graph.calls for w in _weights_of(call)}
    return [(weight, axes[key]) for key, weight in weights.items()]


def _weights_of(call):
    return getattr(call.operation, "weights", ())


def _count(weight, axes, keep):
    return math.prod(
        int(keep[axes[axis]].sum()) if axis in axes else size
        for axis, size in enumerate(weight.shape)
    )
