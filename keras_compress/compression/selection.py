"""Which layers `kc.compress` prunes, and what it says if these are none or not all."""

import dataclasses
import warnings
from collections.abc import Mapping

import keras

from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import Graph
from keras_compress.layers import base as layer_types
from keras_compress.spec import Pruning
from keras_compress.wrappers.config import every_layer
from keras_compress.wrappers.model_kernels import (
    in_words,
    kernels_of,
    selects,
    unreached_layers,
)

# A message names so many of the layers that could be selected.
_NAMED = 6


def pruning_of(
    layer: keras.Layer, pruning: Pruning | Mapping[str, Pruning | None] | None
) -> Pruning | None:
    """Return the `Pruning` of one layer.

    Args:
        layer: A layer of the model.
        pruning: As for `compress`.

    Returns:
        A `Pruning` whose `layers` is `every_layer` if the user selected the layer, which then also
        prunes depthwise kernels. `None` if the layer is not pruned.
    """
    layer_type = layer_types.find(layer)
    if pruning is None or layer_type is None:
        return None
    if isinstance(pruning, Mapping):
        spec = pruning.get(layer.name)
        return None if spec is None else dataclasses.replace(spec, layers=every_layer)
    if pruning.layers is not None:
        return dataclasses.replace(pruning, layers=every_layer) if pruning.layers(layer) else None
    kernels = layer_type.kernels(layer)
    return pruning if any(kernel.prunable for kernel in kernels) else None


def check_selection(
    graph: Graph, pruning: Pruning | Mapping[str, Pruning | None] | None, is_alone: bool
) -> None:
    """Check that `pruning` selects something, and all that its predicate is true for.

    Args:
        graph: The model.
        pruning: As for `compress`.
        is_alone: Whether the model is only to be pruned.

    Raises:
        InvalidArgumentError: It selects nothing and there is nothing else to do. If there is, this
            is a warning, unless a dict says `None` for each of its layers.
    """
    if pruning is None:
        return
    called = dict.fromkeys(call.operation for call in graph.calls)
    layers = [operation for operation in called if isinstance(operation, keras.Layer)]
    if any(pruning_of(layer, pruning) is not None for layer in layers):
        _warn_of_unsupported(layers, pruning)
    elif is_alone:
        raise InvalidArgumentError(_nothing_selected(layers, pruning))
    elif not isinstance(pruning, Mapping):
        warnings.warn(_nothing_selected(layers, pruning), stacklevel=3)


def _warn_of_unsupported(layers, pruning):
    """Warn of layers that a predicate selects in vain."""
    unreached = _unreached(layers, pruning)
    if unreached:
        warnings.warn(
            f"kc.compress cannot prune all layers that pruning selects: {in_words(unreached)} will "
            "be pruned. Let the predicate of kc.Pruning(layers=...) be false for them, or give a "
            "custom layer compressed_weights (docs/custom_layers.md).",
            stacklevel=4,
        )


def _unreached(layers, pruning):
    if isinstance(pruning, Mapping) or pruning.layers is None:
        return []
    supported = {layer for layer in layers if layer_types.find(layer) is not None}
    return unreached_layers(
        kernels_of(layers),
        (),
        lambda layer: layer not in supported and selects(pruning.layers, layer),
    )


def _nothing_selected(layers, pruning):
    names = [repr(layer.name) for layer in layers if layer_types.find(layer) is not None]
    others = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    prunable = f"{', '.join(names[:_NAMED])}{others}" if names else "no layer of this model"
    unreached = _unreached(layers, pruning)
    selected = f"; it selects what cannot be pruned: {in_words(unreached)}" if unreached else ""
    return (
        f"pruning selects no layer that kc.compress can prune, which are: {prunable}. Select some "
        "of them by name or with kc.Pruning(layers=...), or give a custom layer compressed_weights "
        f"(docs/custom_layers.md). Received: pruning={_brief(pruning)}{selected}"
    )


def _brief(pruning):
    if isinstance(pruning, Mapping):
        return f"a dict of {len(pruning)} layers, none of them to be pruned"
    return "kc.Pruning()" if pruning.layers is None else "kc.Pruning(layers=...)"
