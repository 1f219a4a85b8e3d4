"""Free channels: their removal does not change the outputs of the model.

A channel is free if all weights that read it are zero. It is also free if it has the same
constant value for every input of the model, and each layer that sums over it can add that
constant to its bias instead.
"""

import collections

import numpy as np

from keras_compress.shrinking.propagation.base import rows_in_use


def propagate_constants(graph):
    """Find the constant channels of all values of a model.

    Args:
        graph: A `DependencyGraph`.

    Returns:
        `{Value: array}` with the constant of each channel, NaN for channels that vary; `None`
        for values without channels, or with channels along several axes.
    """
    constants = dict.fromkeys(graph.graph.flat_inputs)
    for call in graph.graph.calls:
        inputs = [constants[value] for value in call.inputs]
        axes = [_only_axis(graph, value) for value in call.inputs]
        outputs = graph.rule(call).constants(call, inputs, axes)
        for value, values in zip(call.outputs, outputs, strict=True):
            axis = _only_axis(graph, value)
            fits = axis is not None and values is not None
            fits = fits and len(values) == len(graph.axes(value)[axis])
            constants[value] = np.asarray(values, "float64") if fits else None
    return constants


def free_groups(graph, constants):
    """Return the mask of the groups whose removal does not change the outputs.

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
    """Return the amounts that the constants of removed channels add to the biases of their readers.

    For free groups the result is exact everywhere. For a constant channel that is removed although
    it is not free, a convolution with zero padding is exact away from the border only.

    Args:
        graph: A `DependencyGraph`.
        constants: What `propagate_constants(graph)` returned.
        keep: Mask of the groups that stay.

    Returns:
        `{id(layer): array}`; each array has the length of the layer's old outputs.
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
    """Return the layers that are called several times: one bias cannot hold two constants."""
    counts = collections.Counter(id(call.operation) for call in graph.graph.calls)
    return {layer for layer, count in counts.items() if count > 1}


def _absorbed(rule, call, values, groups, foldable):
    """Return for each input channel whether the bias can take its constant."""
    if values is None or len(values) != len(groups):
        return np.zeros(len(groups), bool)
    if foldable:
        foldable = rule.contribution(call.operation, np.zeros(len(values))) is not None
    return ~np.isnan(values) if foldable else values == 0


def _only_axis(graph, value):
    axes = graph.axes(value)
    return next(iter(axes)) if len(axes) == 1 else None
