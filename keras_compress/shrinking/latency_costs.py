"""Estimate how long a model takes without some channels, from measured times of its layers."""

import math

import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError

# What an int8 output costs besides its products (requantizing, writing), in products. Measured
# with XNNPACK on AVX2: 1 x 1 convolutions of 16, 32, 64 and 128 channels take 0.9, 1.3, 2.0 and
# 3.6 ns for each output, 0.5 ns plus 0.024 ns for each product.
OUTPUT_COST = 20


class LatencyCosts:
    """Time of a model for any choice of groups.

    A layer of n outputs with k products each that took the time t is taken to need
    t * (n' / n) * (k' + c) / (k + c) with n' outputs of k' products; c is `OUTPUT_COST`. Layers
    without products (additions, pooling) are taken to need what they needed.

    Args:
        graph: A `DependencyGraph`.
        latencies: `{layer name: time}` as measured on the target; layers that are missing count
            nothing.

    Raises:
        InvalidArgumentError: No latencies.
        UnknownNameError: The model has no layer of a name.
    """

    def __init__(self, graph, latencies):
        if not latencies:
            raise InvalidArgumentError(
                "A budget of latency needs the measured time of each layer. Pass latencies={layer "
                f"name: time}}. Received: latencies={latencies!r}"
            )
        names = {call.name for call in graph.graph.calls}
        for name in latencies:
            if name not in names:
                raise UnknownNameError("layer", name, names)
        self.graph = graph
        self.latencies = dict(latencies)
        counted = {call.name for call, *_ in graph.costs}
        self.constant = sum(t for name, t in latencies.items() if name not in counted)
        totals = graph.macs()
        self.parts = []
        for call, coefficient, factors in graph.costs:
            macs = coefficient * math.prod(map(len, factors))
            time = latencies.get(call.name, 0) * macs / max(totals[call.name], 1)
            self.parts.append((time, _products(call, macs), factors))

    def __call__(self, keep):
        """Return the time for a mask of groups."""
        total = self.constant
        for time, products, factors in self.parts:
            shares = [float(np.count_nonzero(keep[f]) / len(f)) for f in factors]
            *read, made = shares or [1.0]
            left = products * math.prod(read)
            total += time * made * (left + OUTPUT_COST) / (products + OUTPUT_COST)
        return total

    def savings(self):
        """Return the time that goes with each group at the whole model."""
        result = np.zeros(self.graph.size)
        for time, products, factors in self.parts:
            for number, factor in enumerate(factors):
                last = number == len(factors) - 1
                share = 1.0 if last else products / (products + OUTPUT_COST)
                np.add.at(result, factor, time * share / len(factor))
        return result


def _products(call, macs):
    """Return how many products an output takes, for all calls of a part together."""
    outputs = math.prod(size or 1 for size in call.outputs[0].shape[1:])
    return macs / max(outputs, 1)
