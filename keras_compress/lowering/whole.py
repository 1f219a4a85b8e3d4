"""Put together again what was taken apart: for `kc.strip`."""

import dataclasses
from typing import Any

import keras

from keras_compress.lowering.attention import denses
from keras_compress.lowering.attention_layers import AttentionMask, AttentionProjection
from keras_compress.lowering.normalization_layers import NormalizationAffine, NormalizationStep


@dataclasses.dataclass(frozen=True, eq=False)
class Pieces:
    """What has been seen of an attention, in the place of a tensor inside it.

    Args:
        projections: Part -> (layer or its wrapper, input of it).
        mask: The boolean tensor of its mask, or `None`.
        causal: Whether it is causal.
    """

    projections: dict = dataclasses.field(default_factory=dict)
    mask: Any = None
    causal: bool = False


def collect(operation, layer, args):
    """Say what stands for the result of a call that is part of something whole.

    Args:
        operation: The layer called, or its wrapper.
        layer: The layer itself.
        args: What it is called with: tensors, or `Pieces` where they are parts' results.

    Returns:
        The value to hand on; `None` for a layer to be called as it is. After `"output"` and
        `NormalizationAffine` the caller makes the whole.
    """
    if isinstance(layer, NormalizationStep):
        return args[0]
    if isinstance(layer, AttentionProjection) and layer.part != "output":
        return Pieces({layer.part: (operation, args[0])})
    found = [leaf for leaf in keras.tree.flatten(args) if isinstance(leaf, Pieces)]
    if not found or isinstance(layer, AttentionProjection):
        return None
    pieces = Pieces(
        {part: source for piece in found for part, source in piece.projections.items()},
        mask=next((piece.mask for piece in found if piece.mask is not None), None),
        causal=any(piece.causal for piece in found),
    )
    if isinstance(layer, AttentionMask):
        mask = args[1] if len(args) > 1 else None
        pieces = dataclasses.replace(pieces, mask=mask, causal=layer.causal)
    return pieces


def is_whole(layer):
    """Tell whether a layer is the last part of something."""
    output = isinstance(layer, AttentionProjection) and layer.part == "output"
    return output or isinstance(layer, NormalizationAffine)


def name(layer):
    """Return the name of the layer that a last part comes from."""
    return _config(layer)["name"]


def make(layer, name):
    """Return the layer that a last part comes from, not built.

    Args:
        layer: The last part.
        name: Name of the new layer.
    """
    normalizes = isinstance(layer, NormalizationAffine)
    kind = keras.layers.LayerNormalization if normalizes else keras.layers.MultiHeadAttention
    return kind.from_config({**_config(layer), "name": name})


def _config(layer):
    return layer.normalization if isinstance(layer, NormalizationAffine) else layer.attention


def call(whole, source):
    """Call a layer that was put together.

    Args:
        whole: What `make` returned.
        source: The tensor, or the `Pieces`, that its last part is called with.

    Returns:
        Its output.
    """
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
    """Give an attention the weights of its projections.

    Args:
        attention: A built `MultiHeadAttention`.
        arrays: Part -> list of kernel and bias, as Dense layers hold them.
    """
    for part, dense in denses(attention).items():
        weights = dense.weights
        dense.set_weights(
            [
                array.reshape(weight.shape)
                for array, weight in zip(arrays[part], weights, strict=True)
            ]
        )
