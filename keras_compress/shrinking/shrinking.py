"""Remove channels from a model: `shrink` and `remove_zeros`."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_compress.data.types import Samples
from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.blocks import alive
from keras_compress.shrinking.budget import Budget, Costs
from keras_compress.shrinking.constants import (
    folded_biases,
    free_groups,
    propagate_constants,
)
from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.depth import DepthCosts, choose_blocks, score_blocks
from keras_compress.shrinking.group_statistics import GroupStatistics
from keras_compress.shrinking.layer_latency import with_latency
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.removal import remove
from keras_compress.shrinking.scoring import name_of, resolve_criterion, score
from keras_compress.shrinking.selection import SelectionOptions, select
from keras_compress.shrinking.shrink_report import describe

# A `keras.Model`; with `return_report=True` a tuple of it and a `ShrinkReport`. A union of the two
# would have every caller tell them apart.
Shrunk: TypeAlias = Any


def shrink(
    model: keras.Model,
    macs: float | None = None,
    channels: float | None = None,
    parameters: float | None = None,
    bytes: float | None = None,
    latency: float | None = None,
    *,
    latencies: Mapping[str, float] | None = None,
    criterion: str | StructuralCriterion = "l2_norm",
    data: Samples | None = None,
    loss: str | Callable | None = None,
    round_to: int | str | os.PathLike | Profile | None = None,
    granularity: str = "channels",
    ranking: str = "global",
    minimum: float = 0.1,
    exclude: Collection[str] = (),
    rules: Sequence[PropagationRule] = (),
    batch_size: int = 64,
    seed: int = 0,
    return_report: bool = False,
    measure_latency: bool = False,
) -> Shrunk:
    """Remove the least important channels, units and heads from a model.

    Channels that depend on each other (through residual additions, concatenations, depthwise
    convolutions, squeeze-excite blocks …) are scored and removed together. Constant channels are
    removed first and folded into the biases of the layers that read them. Channels whose path is
    not supported stay. Source: Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        macs: How many multiply-accumulates may remain: a fraction in (0, 1], or a number above 1.
            Default: 0.5, if no other amount is given. 1.0 removes only channels that do not
            change the outputs.
        channels: How many of the removable channels may remain, likewise.
        parameters: How many weights may remain, likewise.
        bytes: How many bytes of weights may remain, likewise, in their own data types.
        latency: How much of the sum of `latencies` may remain, likewise (see `LatencyCosts`).
        latencies: `{layer name: time}` as measured on the target, in any unit.
        criterion: Name or instance: `"l1_norm"`, `"l2_norm"`, `"random"`, or one of
            `keras_compress/shrinking/criteria`.
        data: For criteria that need data: `(x, y)` arrays, or samples with labels in any form
            of docs/data.md. At most 64 batches of an iterable are used.
        loss: A Keras loss or its name, for criteria that use gradients. Default: the loss the
            model was compiled with.
        round_to: Kept channels are a multiple of this number, or of the one that a profile (name,
            path or `Profile`) recommends for its target. Default: 1.
        granularity: `"channels"` removes channels, units and heads; `"layers"` removes whole
            residual blocks and repeated blocks. With data, blocks are scored by how much the
            outputs change without them, otherwise by the criterion. To do both, shrink twice.
        ranking: `"global"` ranks the channels of all layers together, `"per_cost"` ranks them by
            score divided by cost, `"layer"` removes the same share of each layer.
        minimum: Channels that each layer keeps: a number, or a fraction below 1.
        exclude: Names of layers whose output channels are kept.
        rules: `PropagationRule` instances for custom layers.
        batch_size: Samples in a batch, for data that are not batched already.
        seed: Seed of criteria that use random numbers.
        return_report: Whether to return `(model, ShrinkReport)`.
        measure_latency: Whether to measure the time of each layer for the report.

    Returns:
        A new `keras.Model`, not compiled; with `return_report=True` also the report.

    Raises:
        UnsupportedModelError: The model is subclassed, not built or wrapped by `kc.compress`, or
            a layer cannot be recreated from its configuration.
        UnknownNameError: There is no criterion of that name.
        InvalidArgumentError: The amount would empty a layer or is out of reach because of
            protected layers, or the criterion lacks the data or the loss that it needs.

    Example:
        >>> import keras, keras_compress as kc
        >>> layers = [keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(3)]
        >>> kc.shrink(keras.Sequential(layers), macs=0.5).layers[1].units
        8
    """
    budget = Budget.of(
        macs=macs, channels=channels, parameters=parameters, bytes=bytes, latency=latency
    )
    criterion = resolve_criterion(criterion)
    choice = SelectionOptions(minimum=minimum, round_to=multiple(round_to), ranking=ranking)
    graph = DependencyGraph(model, rules=rules, exclude=exclude)
    statistics = GroupStatistics(graph, data, loss, batch_size, seed)
    if granularity not in ("channels", "layers"):
        raise InvalidArgumentError(
            f"granularity must be 'channels' or 'layers'. Received: granularity={granularity!r}"
        )
    if granularity == "layers":
        smaller, report = _without_blocks(graph, statistics, budget, criterion, latencies)
    else:
        costs = Costs(graph, latencies)
        smaller, report = _without_channels(graph, costs, statistics, budget, criterion, choice)
    if not return_report:
        return smaller
    return smaller, with_latency(report, model, smaller) if measure_latency else report


def remove_zeros(
    model: keras.Model,
    round_to: int | str | os.PathLike | Profile | None = None,
    rules: Sequence[PropagationRule] = (),
    return_report: bool = False,
) -> Shrunk:
    """Remove the channels that contribute nothing, without changing the outputs.

    These are channels whose weights are all zero after training with channel masks, constant
    channels, and channels that no later weight reads. Their biases and the shifts of their batch
    normalizations are folded into the biases of the layers that read them.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        round_to: See `shrink`. Some removable channels then stay.
        rules: `PropagationRule` instances for custom layers.
        return_report: Whether to return `(model, ShrinkReport)`.

    Returns:
        A new `keras.Model`, not compiled; with `return_report=True` also the report.

    Raises:
        UnsupportedModelError: See `shrink`.

    Example:
        >>> import keras, keras_compress as kc
        >>> hidden = keras.layers.Dense(16)
        >>> model = keras.Sequential([keras.Input((8,)), hidden, keras.layers.Dense(3)])
        >>> _ = hidden.kernel.assign(hidden.kernel * ([0.0] * 4 + [1.0] * 12))
        >>> kc.remove_zeros(model).layers[1].units
        12
    """
    return shrink(
        model,
        macs=1.0,
        criterion="random",
        round_to=round_to,
        minimum=1,
        rules=rules,
        return_report=return_report,
    )


def multiple(round_to):
    """Return the channel multiple that a number or a profile specifies."""
    if round_to is None:
        return 1
    if isinstance(round_to, int):
        if round_to < 1:
            raise InvalidArgumentError(
                f"round_to must be a whole number of 1 or more. Received: round_to={round_to}"
            )
        return round_to
    return edge_profile.get(round_to).channel_multiple


def _without_channels(graph, costs, statistics, budget, criterion, choice):
    """Remove channels and return the model and the report."""
    constants = propagate_constants(graph)
    free = free_groups(graph, constants)
    keep = groups_to_keep(graph, costs, budget, score(criterion, statistics), free, choice)
    smaller = remove(graph, keep, folded_biases(graph, constants, keep))
    return smaller, describe(
        graph,
        costs,
        keep,
        criterion=name_of(criterion),
        budget=f"at most {budget.amount:g} of the {budget.kind}",
        free_channels=int(free.sum()),
        unknown=tuple(graph.unknown()),
    )


def _without_blocks(graph, statistics, budget, criterion, latencies):
    """Remove whole blocks and return the model and the report."""
    costs = DepthCosts(graph, latencies)
    group_scores = None if statistics.has_data else score(criterion, statistics)
    scores = score_blocks(graph, statistics, group_scores)
    whole = costs.of(budget.kind, {})
    skipped = choose_blocks(graph, scores, costs, budget.kind, budget.target(whole))
    least = costs.of(budget.kind, skipped)
    if least > budget.target(whole):
        names = ", ".join(block.name for block in scores) or "none"
        raise InvalidArgumentError(
            f"Removing every block that can be bypassed ({names}) leaves {least / whole:.3g} of "
            f"the {budget.kind} ({least:,}). Allow at least that much, then remove channels. "
            f"Received: {budget.kind}={budget.amount:g}, granularity='layers'"
        )
    keep = np.ones(graph.size, bool)
    return remove(graph, keep, skipped=skipped), describe(
        graph,
        Costs(graph),
        keep,
        calls=alive(graph, skipped),
        criterion="output change" if statistics.has_data else name_of(criterion),
        budget=f"at most {budget.amount:g} of the {budget.kind}",
        removed_blocks=tuple(call.name for call in skipped),
    )


def groups_to_keep(graph, costs, budget, scores, free, options):
    """Choose the groups that stay.

    Args:
        graph: A `DependencyGraph`.
        costs: Its `Costs`.
        budget: A `Budget`.
        scores: Array (groups,); NaN keeps a group.
        free: Mask of the groups that are removed in any case.
        options: `SelectionOptions`.

    Returns:
        Mask (groups,).

    Raises:
        InvalidArgumentError: The budget is out of reach.
    """
    if budget.kind in ("macs", "latency") and graph.has_free_sizes and budget.amount != 1:
        raise InvalidArgumentError(
            "Multiply-accumulates depend on input sizes, which this model does not fix. Build it "
            f"for fixed input sizes, or pass parameters= or channels=. Received: {_shapes(graph)}"
        )
    prunable = graph.prunable & (free | ~np.isnan(scores))
    if options.ranking == "per_cost":
        scores = scores / costs.savings(budget.kind)
    scores = np.where(free, -np.inf, np.nan_to_num(scores, nan=np.inf))
    whole = costs.of(budget.kind, np.ones(graph.size, bool))
    target = budget.target(whole)
    keep = select(
        scores,
        graph.coupled_channels,
        prunable,
        lambda mask: costs.of(budget.kind, mask),
        target,
        options,
        widths=graph.widths,
        at_least=int(free.sum()),
    )
    least = costs.of(budget.kind, keep)
    if least > target:
        raise InvalidArgumentError(_out_of_reach(graph, budget, least, whole, options))
    return keep


def _shapes(graph):
    return ", ".join(str(value.shape) for value in graph.graph.flat_inputs)


def _out_of_reach(graph, budget, least, whole, options):
    reasons = dict.fromkeys(graph.protected.values())
    text = (
        f"Each layer must keep minimum={options.minimum:g} of its channels, so at least "
        f"{least / whole:.3g} of the {budget.kind} ({least:,}) must remain. "
        f"Allow more, or lower minimum. Received: {budget.kind}={budget.amount:g}"
    )
    if reasons:
        text += f". Channels that must stay: {'; '.join(reasons)}"
    return text
