"""Restore the layers that `lowering` split, for `kc.strip`."""

import dataclasses
from typing import Any

import keras

from keras_compress.lowering.attention import denses
from keras_compress.lowering.attention_layers import AttentionMask, AttentionProjection
from keras_compress.lowering.normalization_layers import NormalizationAffine, NormalizationStep
from keras_compress.lowering.recurrent_layers import DirectionMerge, LstmSteps, StepSelection

# A file may name any class, so only these are looked up.
_RECURRENT = {
    kind.__name__: kind
    for kind in (keras.layers.LSTM, keras.layers.RNN, keras.layers.Bidirectional)
}


@dataclasses.dataclass(frozen=True, eq=False)
class Pieces:
    """The parts of an attention or a Bidirectional so far. They replace the tensors inside it.

    Args:
        projections: Part -> (layer or its wrapper, its input).
        mask: The boolean tensor of the mask, or `None`.
        causal: Whether the attention is causal.
    """

    projections: dict = dataclasses.field(default_factory=dict)
    mask: Any = None
    causal: bool = False


def collect(operation, layer, args):
    """Return the value that replaces the result of a call which is part of a split layer.

    Args:
        operation: The layer called, or its wrapper.
        layer: The layer itself.
        args: Its arguments: tensors, or `Pieces` that replace the results of other parts.

    Returns:
        The value to pass on; `None` if the layer is to be called as usual. At the last part
        (`is_whole`) the caller restores the original layer.
    """
    if isinstance(layer, NormalizationStep | StepSelection):
        return args[0]
    if isinstance(layer, LstmSteps) and layer.direction is not None:
        return Pieces({layer.direction: (operation, args[0])})
    if isinstance(layer, AttentionProjection) and layer.part != "output":
        return Pieces({layer.part: (operation, args[0])})
    parts = [leaf for leaf in keras.tree.flatten(args) if isinstance(leaf, Pieces)]
    if not parts or isinstance(layer, AttentionProjection | DirectionMerge):
        return None
    pieces = _joined(parts)
    if isinstance(layer, AttentionMask):
        mask = args[1] if len(args) > 1 else None
        pieces = dataclasses.replace(pieces, mask=mask, causal=layer.causal)
    return pieces


def _joined(parts):
    return Pieces(
        {name: source for part in parts for name, source in part.projections.items()},
        mask=next((part.mask for part in parts if part.mask is not None), None),
        causal=any(part.causal for part in parts),
    )


def is_whole(layer):
    """Tell whether a layer is the last part of a split layer."""
    if isinstance(layer, LstmSteps):
        return layer.direction is None
    output = isinstance(layer, AttentionProjection) and layer.part == "output"
    return output or isinstance(layer, NormalizationAffine | DirectionMerge)


def name(layer):
    """Return the name of the original layer, given its last part."""
    return _config(layer)["name"]


def make(layer, name):
    """Return a new, unbuilt layer like the original, given its last part.

    Args:
        layer: The last part.
        name: Name of the new layer.
    """
    return _kind(layer).from_config({**_config(layer), "name": name})


def _kind(layer):
    if isinstance(layer, LstmSteps | DirectionMerge):
        return _RECURRENT[layer.original["class_name"]]
    normalizes = isinstance(layer, NormalizationAffine)
    return keras.layers.LayerNormalization if normalizes else keras.layers.MultiHeadAttention


def _config(layer):
    if isinstance(layer, LstmSteps | DirectionMerge):
        return layer.original["config"]
    return layer.normalization if isinstance(layer, NormalizationAffine) else layer.attention


def call(whole, source):
    """Call a restored layer.

    Args:
        whole: The layer that `make` returned.
        source: The argument of its last part: a tensor, `Pieces`, or a list of them.

    Returns:
        Its output.
    """
    if isinstance(source, list):  # Both directions of a Bidirectional, which read one tensor.
        return whole(source[0].projections["forward"][1])
    if not isinstance(source, Pieces):
        return whole(source)
    query, key, value = (source.projections[part][1] for part in ("query", "key", "value"))
    arguments = {} if key is value else {"key": key}
    if source.mask is not None:
        arguments["attention_mask"] = source.mask
    if source.causal:
        arguments["use_causal_mask"] = True
    return whole(query, value, **arguments)


def set_attention_weights(attention, arrays):
    """Set the weights of an attention from those of its projections.

    Args:
        attention: A built `MultiHeadAttention`.
        arrays: Part -> list of kernel and bias, in the layout of Dense layers.
    """
    for part, dense in denses(attention).items():
        weights = dense.weights
        dense.set_weights(
            [
                array.reshape(weight.shape)
                for array, weight in zip(arrays[part], weights, strict=True)
            ]
        )
