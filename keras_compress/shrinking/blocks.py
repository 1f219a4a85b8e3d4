"""Blocks that can be removed whole: residual branches and repeated blocks."""

import dataclasses
from typing import Any

from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.shrinking.dependency_graph import DependencyGraph

ADDITIONS = ("sum", "scaled_sum")


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of the graph that can be bypassed: one of its inputs replaces its output.

    Args:
        end: The call whose output is replaced: the addition, or the last call of a repetition.
        bypass: The value that replaces it.
        calls: Calls of the block, including `end`.
    """

    end: Any
    bypass: Any
    calls: tuple

    @property
    def name(self):
        """The name of the block's last layer."""
        return self.end.name


def find_blocks(graph: DependencyGraph):
    """List the blocks of a model in execution order.

    A residual block computes a branch from a value and adds it to that value; removing the block
    passes the value on unchanged. A repetition is a part of a chain with the same layers and
    shapes as the part before it, like the 512-channel blocks of MobileNet; removing it connects
    the part before to the part after.

    Args:
        graph: A `DependencyGraph`.

    Returns:
        List of `Block`. Repetitions do not overlap.
    """
    calls = graph.graph.calls
    blocks = [block for call in calls if (block := _residual(graph, call))]
    inside = {call for block in blocks for call in block.calls}
    for chain in _chains(graph, inside):
        blocks += _repetitions(graph, chain)
    order = {call: number for number, call in enumerate(calls)}
    return sorted(blocks, key=lambda block: order[block.end])


def alive(graph, skipped):
    """Return the calls that are still needed after some calls are replaced by earlier values.

    Args:
        graph: A `DependencyGraph`.
        skipped: `{Call: Value}`, as for `remove`.
    """
    needed, pending = set(), list(graph.graph.flat_outputs)
    visited = set()
    while pending:
        value = pending.pop()
        if value in visited or value.producer is None:
            continue
        visited.add(value)
        if value.producer in skipped:
            pending.append(skipped[value.producer])
        else:
            needed.add(value.producer)
            pending += value.producer.inputs
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
    """Return the calls from `skip` to `branch`; `None` if `branch` depends on anything else."""
    calls: dict[Call, None] = {}
    pending, reached = [branch], False
    while pending:
        value = pending.pop()
        if value is skip:
            reached = True
        elif value.producer is None:
            return None
        elif value.producer not in calls:
            calls[value.producer] = None
            pending += value.producer.inputs
    return tuple(calls) if reached else None


def _chains(graph, inside):
    """Return the longest chains outside residual blocks in which each call feeds only the next."""
    outputs = set(graph.graph.flat_outputs)
    chains, placed = [], set()
    for call in graph.graph.calls:
        chain = []
        while call is not None and call not in placed and call not in inside and _simple(call):
            placed.add(call)
            chain.append(call)
            readers = call.output.consumers
            ends = call.output in outputs or len(readers) != 1
            call = None if ends else readers[0]
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
    """Return what a call must share with its counterpart in a repetition."""
    config = {key: v for key, v in call.operation.get_config().items() if key != "name"}
    return type(call.operation).__name__, call.output.shape, repr(config)


def _period(graph, chain, kinds, start):
    """Return the length of the part at `start` that is repeated next to it; 0 if there is none.

    A part starts with a layer that has a kernel. Its last kernel must mix channels, so that a
    depthwise convolution stays with the pointwise one after it.
    """
    for size in range(1, (len(chain) - start) // 2 + 1):
        repeats = kinds[start : start + size] == kinds[start + size : start + 2 * size]
        if repeats and _whole(graph, chain[start : start + size]):
            return size
    return 0


def _whole(graph, part):
    kernels = [call for call in part if _has_kernel(call)]
    return _has_kernel(part[0]) and bool(graph.rule(kernels[-1]).mixes(kernels[-1]))


def _has_kernel(call):
    return any(len(weight.shape) > 1 for weight in getattr(call.operation, "weights", ()))
