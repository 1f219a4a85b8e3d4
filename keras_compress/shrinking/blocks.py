"""Blocks that can be removed whole: residual branches and repetitions that may be bypassed."""

import dataclasses
from typing import Any

from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.shrinking.dependency_graph import DependencyGraph

ADDITIONS = ("sum", "scaled_sum")


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of the graph whose result is replaced by one of its inputs.

    Args:
        end: The call whose output is replaced: the addition, or the last call of a repetition.
        bypass: The value that takes its place.
        calls: Calls of the block, `end` among them.
    """

    end: Any
    bypass: Any
    calls: tuple

    @property
    def name(self):
        """The name of its last layer."""
        return self.end.name


def find_blocks(graph: DependencyGraph):
    """List the blocks of a model in the order of the data.

    A residual block adds to a value something that is computed from that same value; without
    it the value passes. A repetition is a part of a chain whose layers and shapes are those of
    the part before, as the 512-channel blocks of MobileNet; without it the part before is
    followed by what comes after.

    Args:
        graph: A `DependencyGraph`.

    Returns:
        List of `Block`, without overlaps of repetitions.
    """
    calls = graph.graph.calls
    blocks = [block for call in calls if (block := _residual(graph, call))]
    inside = {call for block in blocks for call in block.calls}
    for chain in _chains(graph, inside):
        blocks += _repetitions(graph, chain)
    order = {call: number for number, call in enumerate(calls)}
    return sorted(blocks, key=lambda block: order[block.end])


def alive(graph, skipped):
    """Return the calls that are still needed when some give back an earlier value.

    Args:
        graph: A `DependencyGraph`.
        skipped: `{Call: Value}`, as `remove` takes it.
    """
    needed, open_values = set(), list(graph.graph.flat_outputs)
    seen = set()
    while open_values:
        value = open_values.pop()
        if value in seen or value.producer is None:
            continue
        seen.add(value)
        if value.producer in skipped:
            open_values.append(skipped[value.producer])
        else:
            needed.add(value.producer)
            open_values += value.producer.inputs
    return needed


def _residual(graph, call):
    if operations.of(call.operation).form not in ADDITIONS or len(call.inputs) != 2:
        return None
    for skip, branch in (call.inputs, reversed(call.inputs)):
        if skip.shape == branch.shape == call.output.shape and skip is not branch:
            inside = _between(skip, branch)
            if inside and any(graph.rule(c).mixes(c) for c in inside):
                return Block(call, skip, (*inside, call))
    return None


def _between(skip, branch):
    """Return the calls that lead to `branch`, if it is computed from `skip`, and from it alone."""
    found: dict[Call, None] = {}
    open_values, reached = [branch], False
    while open_values:
        value = open_values.pop()
        if value is skip:
            reached = True
        elif value.producer is None:
            return None
        elif value.producer not in found:
            found[value.producer] = None
            open_values += value.producer.inputs
    return tuple(found) if reached else None


def _chains(graph, inside):
    """Return the longest runs of calls outside of residual blocks that feed one another alone."""
    outputs = set(graph.graph.flat_outputs)
    chains, placed = [], set()
    for call in graph.graph.calls:
        chain = []
        while call is not None and call not in placed and call not in inside and _simple(call):
            placed.add(call)
            chain.append(call)
            follower = call.output.consumers
            ends = call.output in outputs or len(follower) != 1
            call = None if ends else follower[0]
        if len(chain) > 1:
            chains.append(chain)
    return chains


def _simple(call):
    return len(call.inputs) == 1 and len(call.outputs) == 1


def _repetitions(graph, chain):
    kinds = [_kind(call) for call in chain]
    blocks, start = [], 0
    while start < len(chain):
        size = _period(graph, chain, kinds, start)
        if size:
            part = chain[start + size : start + 2 * size]
            blocks.append(Block(part[-1], part[0].inputs[0], tuple(part)))
        start += size or 1
    return blocks


def _kind(call):
    """Return what two calls of a repetition have in common."""
    config = {key: v for key, v in call.operation.get_config().items() if key != "name"}
    return type(call.operation).__name__, call.output.shape, repr(config)


def _period(graph, chain, kinds, start):
    """Return the length of the part at `start` that the next part repeats; 0 if none does.

    A part begins with a kernel and goes to the next; the last of its kernels mixes channels, so
    that a depthwise convolution stays with the pointwise one after it.
    """
    for size in range(1, (len(chain) - start) // 2 + 1):
        again = kinds[start : start + size] == kinds[start + size : start + 2 * size]
        if again and _whole(graph, chain[start : start + size]):
            return size
    return 0


def _whole(graph, part):
    kernels = [call for call in part if _has_kernel(call)]
    return _has_kernel(part[0]) and bool(graph.rule(kernels[-1]).mixes(kernels[-1]))


def _has_kernel(call):
    return any(len(weight.shape) > 1 for weight in getattr(call.operation, "weights", ()))
