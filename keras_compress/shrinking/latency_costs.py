"""Estimate how long a model takes without some channels, from measured times of its layers."""

import math

import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError

# The overhead of an int8 output (requantizing, writing), in units of one product. Measured with
# XNNPACK on AVX2: 1 x 1 convolutions of 16, 32, 64 and 128 channels take 0.9, 1.3, 2.0 and 3.6 ns
# for each output, which is 0.5 ns plus 0.024 ns for each product.
OUTPUT_COST = 20


class LatencyCosts:
    """Estimated time of a model for any choice of groups.

    If a layer with n outputs of k products each took the time t, it is estimated to take
    t * (n' / n) * (k' + c) / (k + c) with n' outputs of k' products; c is `OUTPUT_COST`. The time
    of layers without products (additions, pooling) is assumed not to change.

    Args:
        graph: A `DependencyGraph`.
        latencies: `{layer name: time}` as measured on the target; missing layers count as 0.

    Raises:
        InvalidArgumentError: There are no latencies.
        UnknownNameError: The model has no layer of a given name.
    """

    def __init__(self, graph, latencies):
        if not latencies:
            raise InvalidArgumentError(
                "A latency budget needs the measured time of each layer. Pass latencies={layer "
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
        """Return the time when the groups in a mask are kept."""
        total = self.constant
        for time, products, factors in self.parts:
            shares = [float(np.count_nonzero(keep[f]) / len(f)) for f in factors]
            *read, made = shares or [1.0]
            left = products * math.prod(read)
            total += time * made * (left + OUTPUT_COST) / (products + OUTPUT_COST)
        return total

    def savings(self):
        """Return the time that removing each group saves at the full model."""
        result = np.zeros(self.graph.size)
        for time, products, factors in self.parts:
            for number, factor in enumerate(factors):
                last = number == len(factors) - 1
                share = 1.0 if last else products / (products + OUTPUT_COST)
                np.add.at(result, factor, time * share / len(factor))
        return result


def _products(call, macs):
    """Return how many products each output takes."""
    outputs = math.prod(size or 1 for size in call.outputs[0].shape[1:])
    return macs / max(outputs, 1)
