"""The checks that `kc.compress` makes before it changes anything."""

from collections.abc import Mapping

import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.layers import base as layer_types
from keras_compress.spec import Pruning
from keras_compress.wrappers.compressed_layer import CompressedLayer


def check_plain(graph):
    """Refuse a graph whose layers are already compressed."""
    if any(isinstance(call.operation, CompressedLayer) for call in graph.calls):
        raise InvalidArgumentError(
            "The model is already compressed. Compress the plain model, or strip(model) first. "
            f"Received: {graph.name}"
        )


def check_finite(model):
    """Refuse a model with a weight that is not a finite number."""
    for variable in model.weights:
        if not np.isfinite(np.asarray(variable)).all():
            raise InvalidArgumentError(
                "The weights must be finite numbers: training has diverged. Return to a good "
                "checkpoint, lower the learning rate or clip gradients. "
                f"Received: NaN or infinite values in {variable.path}"
            )


def check_pruning(graph, pruning):
    """Refuse a `pruning` of the wrong type or for a layer that does not exist."""
    if pruning is None:
        return
    if not isinstance(pruning, Pruning | Mapping):
        raise InvalidArgumentError(
            "pruning must be a kc.Pruning or a dict from layer name to kc.Pruning. "
            f"Received: {pruning!r}"
        )
    if isinstance(pruning, Mapping):
        check_known(graph, pruning)
        for name, spec in pruning.items():
            if spec is not None and not isinstance(spec, Pruning):
                raise InvalidArgumentError(
                    f"pruning of layer {name!r} must be a kc.Pruning or None. Received: {spec!r}"
                )


def check_known(graph, names):
    """Refuse names that are not those of layers with kernels."""
    layers = {call.name for call in graph.calls if layer_types.find(call.operation) is not None}
    for name in names:
        if name not in layers:
            raise UnknownNameError("layer with kernels", name, layers)


def check_quantized(graph, names):
    """Refuse widths for layers that do not exist or whose kernels stay in float."""
    check_known(graph, names)
    for call in graph.calls:
        if call.name in names and not layer_types.type_of(call.operation).is_quantized:
            raise InvalidArgumentError(
                f"The kernel of a {type(call.operation).__name__} is in float in every TFLite "
                "file: leave the layer out of weight_bits. Received: weight_bits of layer "
                f"{call.name!r}"
            )
