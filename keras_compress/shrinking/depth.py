"""Choose whole blocks to remove: the lowest scores first, until the budget is met."""

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.shrinking.blocks import alive, find_blocks
from keras_compress.shrinking.latency_costs import LatencyCosts
from keras_compress.shrinking.removal import remove


class DepthCosts:
    """MACs, parameters, bytes, channels and time of a model without some of its blocks.

    Args:
        graph: A `DependencyGraph`.
        latencies: Measured `{layer name: time}`; needed only for `"latency"`.
    """

    def __init__(self, graph, latencies=None):
        self.graph = graph
        self._latencies = latencies

    def of(self, kind, skipped):
        """Return the cost of one kind when `skipped`, `{Call: Value}`, are bypassed."""
        calls = alive(self.graph, skipped)
        if kind == "macs":
            return sum(self.graph.macs(calls=calls).values())
        if kind == "latency":
            times = LatencyCosts(self.graph, self._latencies).latencies
            return sum(times.get(name, 0) for name in {call.name for call in calls})
        if kind == "channels":
            names = {call.name for call in calls}
            return sum(len(groups) for name, groups in self.graph.makers if name in names)
        weights = {id(w): w for call in calls for w in getattr(call.operation, "weights", ())}
        sizes = [
            int(np.prod(w.shape)) * (np.dtype(w.dtype).itemsize if kind == "bytes" else 1)
            for w in weights.values()
        ]
        return sum(sizes)


def choose_blocks(graph, scores, costs, kind, target):
    """Return the `{Call: Value}` to skip: the lowest-scoring blocks, until the target is met.

    Args:
        graph: A `DependencyGraph`.
        scores: `{Block: score}`.
        costs: `DepthCosts`.
        kind: See `DepthCosts.of`.
        target: The highest cost allowed. If it is out of reach, all blocks are skipped.
    """
    skipped: dict[Call, Value] = {}
    for block in sorted(scores, key=scores.get):
        if costs.of(kind, skipped) <= target:
            break
        skipped[block.end] = block.bypass
    return skipped


def score_blocks(graph, statistics, group_scores=None):
    """Score each block.

    With data, the score is the relative change of the outputs when only this block is bypassed,
    sum (f(x) - f_bypassed(x))^2 / sum f(x)^2. Without data, it is the mean score of the channels
    that the block makes.

    Args:
        graph: A `DependencyGraph`.
        statistics: A `GroupStatistics`.
        group_scores: Scores of all groups; needed only without data.

    Returns:
        `{Block: score}`.
    """
    blocks = find_blocks(graph)
    if not statistics.has_data:
        return {block: _mean_score(graph, block, group_scores) for block in blocks}
    x, _ = next(iter(statistics.batches()))
    whole = _outputs(graph.model, x)
    return {block: _change(graph, block, x, whole) for block in blocks}


def _mean_score(graph, block, scores):
    names = {call.name for call in block.calls}
    made = np.unique(np.concatenate([g for name, g in graph.makers if name in names]))
    valid = scores[made][~np.isnan(scores[made])]
    return float(valid.mean()) if valid.size else np.inf


def _change(graph, block, x, whole):
    keep = np.ones(graph.size, bool)
    without = _outputs(remove(graph, keep, skipped={block.end: block.bypass}), x)
    return float(np.square(whole - without).sum() / np.square(whole).sum())


def _outputs(model, x):
    flat = keras.tree.flatten(model(x, training=False))
    return np.concatenate([keras.ops.convert_to_numpy(y).reshape(-1) for y in flat])
