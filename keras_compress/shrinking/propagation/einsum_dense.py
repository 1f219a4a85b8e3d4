"""EinsumDense layers."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule, protect_mixed
from keras_compress.shrinking.removal import Kept


class EinsumDense(PropagationRule):
    """EinsumDense: each letter of the equation is an axis.

    A letter of kernel and output only makes new channels. A letter of input and kernel is summed
    over unless the output has it too. A letter of input and output passes through.
    """

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the kernel's axes by their letters."""
        layer, (axes,) = call.operation, inputs
        reader, kernel, output = _letters(layer, len(call.inputs[0].shape))
        ids_of = {letter: axes.get(axis) for axis, letter in enumerate(reader)}
        sizes = dict(zip(reader, call.inputs[0].shape, strict=True))
        for axis, letter in enumerate(kernel):
            sizes[letter] = layer.kernel.shape[axis]
            if letter not in ids_of:
                ids_of[letter] = channels.new(layer.kernel.shape[axis], f"{call.name}:{letter}")
            channels.bind(layer, layer.kernel, axis, ids_of[letter])
        for axis, letter in enumerate(layer.bias_axes or ""):
            place = axis - len(layer.bias_axes) + len(layer.bias.shape)
            channels.bind(layer, layer.bias, place, ids_of[letter])
        result = {a: ids for a, c in enumerate(output) if (ids := ids_of[c]) is not None}
        for ids in result.values():
            protect_mixed(call, layer.activation, ids, channels)
        factors = [
            sizes[letter] or 1 if ids_of[letter] is None else ids_of[letter]
            for letter in sizes
            if letter != output[0]
        ]
        channels.count(call, 1, *factors)
        return [result]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the dimensions of the output shape that the kernel determines."""
        shape = list(np.atleast_1d(np.array(layer.get_config()["output_shape"], dtype=object)))
        _, kernel, output = _letters(layer, None)
        output = output[len(output) - len(shape) :]
        for axis, letter in enumerate(output):
            if letter in kernel and shape[axis] is not None:
                shape[axis] = kept(layer.kernel, kernel.index(letter))
        return {"output_shape": tuple(shape)}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """The product sums over letters of input and kernel that the output lacks."""
        layer = call.operation
        _, kernel, output = _letters(layer, None)
        summed = [axis for axis, letter in enumerate(kernel) if letter not in output]
        return tuple((call.inputs[0], layer.kernel, axis) for axis in summed)


def _letters(layer, rank):
    """Return the letters of input, kernel and output, with the ellipsis written as digits."""
    reader, kernel, output = re.split(",|->", layer.equation)
    if "..." in layer.equation:
        dots = "" if rank is None else "0123456789"[: rank - len(reader.replace("...", ""))]
        reader, output = reader.replace("...", dots), output.replace("...", dots)
    return reader, kernel, output
