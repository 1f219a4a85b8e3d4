"""Prove that every activation of a file has a range that training learned."""

import numpy as np

from keras_compress.converters.deployment import FixedQuantizer
from keras_compress.errors import ConversionError
from keras_compress.graph.graph import all_layers
from keras_compress.layers.roles import FIXED_RANGES
from keras_compress.quantization.fake_quant import activation_grid

_RELATIVE = 1e-4


def require_learned_ranges(emitted, model):
    """Raise where a file converted without samples holds a range that nobody learned.

    Layers that become several operators (softplus, normalisation) have tensors inside them that
    training sees no range of; without samples their ranges would be those of zeros.

    Args:
        emitted: The `EmittedFile` of the file.
        model: The deployed Keras model.

    Raises:
        ConversionError: There is such a range; the message names its layers.
    """
    ranges = [(q.minimum, q.maximum) for q in all_layers(model) if isinstance(q, FixedQuantizer)]
    scales = np.array([_scale(*ends) for ends in (*ranges, *FIXED_RANGES.values())])
    unlearned = {}
    for operator, layers in emitted.operators():
        for tensor in operator.outputs:
            if tensor.scales.size and not np.isclose(tensor.scales[0], scales, _RELATIVE).any():
                unlearned[layers.first(operator) or operator.name] = operator.name
    if unlearned:
        places = ", ".join(f"{layer!r} ({operator})" for layer, operator in unlearned.items())
        raise ConversionError(
            f"Training has learned no range for tensors inside layer {places}: show them with "
            "representative_dataset, a hundred samples as in training. "
            "Received: representative_dataset=None"
        )


def _scale(minimum, maximum):
    return float(activation_grid(minimum, maximum, 8)[0])
