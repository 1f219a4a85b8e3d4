"""What `kc.compress` does to a traced graph first: layers of equal names, low-rank adapters."""

import collections
import itertools
import warnings

import keras

from keras_compress.graph.graph import Graph
from keras_compress.graph.live_copy import is_custom, live_copy
from keras_compress.layers import base as layer_types
from keras_compress.lowering.attention import is_attention


def prepare(graph: Graph) -> None:
    """Replace layers of a graph that cannot be named, or trained, as they are; in place.

    Args:
        graph: A traced `Graph`. The layers of its model are not changed.
    """
    _merge_adapters(graph)
    name_by_blocks(graph)
    _rename_namesakes(graph)


def name_by_blocks(graph: Graph) -> None:
    """Put the names of blocks before names that several layers have: `block_1_dense`; in place.

    Args:
        graph: A traced `Graph`. Blocks are layers made of layers; the layers of nested models are
            only numbered.
    """
    blocks = {call.operation: call.block for call in reversed(graph.calls)}
    names = collections.Counter(layer.name for layer in _layers(graph))
    renamed = {
        layer: _remade(layer, name="_".join((*blocks[layer], layer.name)))
        for layer in _layers(graph)
        if blocks[layer] and names[layer.name] > 1
    }
    _replace(graph, renamed)


def _merge_adapters(graph):
    """Replace each layer with a low-rank adapter (LoRA) by one with the sum as its kernel."""
    merged = {
        layer: _remade(layer, ("lora_rank", "lora_alpha"))
        for layer in _layers(graph)
        if getattr(layer, "lora_enabled", False)
    }
    _replace(graph, merged)
    if merged:
        names = ", ".join(layer.name for layer in merged)
        warnings.warn(
            f"The low-rank adapters (LoRA) of {len(merged)} layer(s) are merged into their "
            f"kernels, which are trained whole: {names}",
            stacklevel=4,
        )


def _rename_namesakes(graph):
    """Number layers of nested models that have equal names: `conv`, `conv_1`."""
    names = {layer.name for layer in _layers(graph)}
    seen = set()
    renamed = {}
    for layer in _layers(graph):
        if layer.name in seen and _is_named_by_users(layer):
            name = next(
                name
                for number in itertools.count(1)
                if (name := f"{layer.name}_{number}") not in names
            )
            names.add(name)
            renamed[layer] = _remade(layer, name=name)
        seen.add(layer.name)
    _replace(graph, renamed)


def _is_named_by_users(layer):
    return layer_types.find(layer) is not None or is_attention(layer)


def _layers(graph):
    """List the layers of a graph in the order of their calls, each once."""
    operations = dict.fromkeys(call.operation for call in graph.calls)
    return [layer for layer in operations if isinstance(layer, keras.layers.Layer)]


def _remade(layer, without=(), **changes):
    """Return a copy of a built layer, with its weights and other entries in its config."""
    if is_custom(layer) or isinstance(layer, keras.layers.Lambda):
        return live_copy(layer, changes["name"], type(layer), {})
    config = {key: value for key, value in layer.get_config().items() if key not in without}
    copy = type(layer).from_config({**config, **changes})
    copy.build_from_config(layer.get_build_config())
    copy.built = True
    if without:  # The merged kernel is an attribute of the name that its variable has.
        arrays = [getattr(layer, variable.name) for variable in copy.weights]
        copy.set_weights([keras.ops.convert_to_numpy(array) for array in arrays])
    else:
        copy.set_weights([keras.ops.convert_to_numpy(variable) for variable in layer.weights])
    return copy


def _replace(graph, layers):
    for call in graph.calls:
        call.operation = layers.get(call.operation, call.operation)
