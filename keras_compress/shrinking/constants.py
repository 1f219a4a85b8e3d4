"""Channels that can be removed with the outputs unchanged, and what they leave behind.

A channel is free if nothing varies in it, whatever the model is given, and each layer that sums
over it can take its constant into the bias; or if all weights that read it are zero.
"""

import collections

import numpy as np

from keras_compress.shrinking.propagation.base import rows_in_use


def propagate_constants(graph):
    """Find the constant channels of all values of a model.

    Args:
        graph: A `DependencyGraph`.

    Returns:
        `{Value: array}` with the constant of each channel, NaN where it varies; `None` for
        values that hold no channels, or channels along several axes.
    """
    known = dict.fromkeys(graph.graph.flat_inputs)
    for call in graph.graph.calls:
        inputs = [known[value] for value in call.inputs]
        axes = [_only_axis(graph, value) for value in call.inputs]
        outputs = graph.rule(call).constants(call, inputs, axes)
        for value, values in zip(call.outputs, outputs, strict=True):
            axis = _only_axis(graph, value)
            fits = axis is not None and values is not None
            fits = fits and len(values) == len(graph.axes(value)[axis])
            known[value] = np.asarray(values, "float64") if fits else None
    return known


def free_groups(graph, constants):
    """Return the mask of the groups whose removal leaves the outputs as they are.

    Args:
        graph: A `DependencyGraph`.
        constants: What `propagate_constants(graph)` returned.
    """
    free = graph.prunable.copy()
    free[list(graph.inexact)] = False
    shared = _shared(graph)
    made = np.zeros(graph.size, bool)
    for coupled in graph.coupled_channels:
        made[coupled] = True
    free &= made
    for call in graph.graph.calls:
        rule = graph.rule(call)
        for value, weight, axis in rule.mixes(call):
            groups = graph.groups_along(call.operation, weight, axis)
            if groups is not None:
                live = rows_in_use(weight, axis)
                foldable = id(call.operation) not in shared
                live &= ~_absorbed(rule, call, constants[value], groups, foldable)
                free[groups[live]] = False
        for weight, axis, live in rule.internals(call.operation):
            groups = graph.groups_along(call.operation, weight, axis)
            if groups is not None:
                free[groups[live & rows_in_use(weight, axis)]] = False
    return free


def folded_biases(graph, constants, keep):
    """Return what the constants of removed channels add to the biases of the layers that read them.

    Groups that are free add it everywhere. Of a constant channel that goes although it is not
    free, a convolution that pads with zeros takes up what it adds away from the border.

    Args:
        graph: A `DependencyGraph`.
        constants: What `propagate_constants(graph)` returned.
        keep: Mask of the groups that stay.

    Returns:
        `{id(layer): array}`, the arrays as long as the layer's old outputs.
    """
    biases, shared = {}, _shared(graph)
    for call in graph.graph.calls:
        layer, rule = call.operation, graph.rule(call)
        for value, weight, axis in rule.mixes(call):
            groups = graph.groups_along(layer, weight, axis)
            values = constants[value]
            if groups is None or values is None or len(values) != len(groups):
                continue
            removed = np.where(keep[groups], 0.0, np.nan_to_num(values))
            added = rule.contribution(layer, removed, border=False) if removed.any() else None
            if added is not None and id(layer) not in shared:
                biases[id(layer)] = added
    return biases


def _shared(graph):
    """Return the layers with several calls, whose one bias cannot serve two constants."""
    counts = collections.Counter(id(call.operation) for call in graph.graph.calls)
    return {layer for layer, count in counts.items() if count > 1}


def _absorbed(rule, call, values, groups, foldable):
    """Tell for each input channel whether its constant can go into the bias."""
    if values is None or len(values) != len(groups):
        return np.zeros(len(groups), bool)
    if foldable:
        foldable = rule.contribution(call.operation, np.zeros(len(values))) is not None
    return ~np.isnan(values) if foldable else values == 0


def _only_axis(graph, value):
    axes = graph.axes(value)
    return next(iter(axes)) if len(axes) == 1 else None
