"""The checks that `kc.compress` makes before it changes anything."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError, UnsupportedModelError
from keras_compress.graph.graph import all_layers
from keras_compress.layers import base as layer_types
from keras_compress.lowering.recurrent import RECURRENT, directions, training_obstacle
from keras_compress.lowering.recurrent_layers import LstmSteps
from keras_compress.spec import Pruning
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.compressed_lstm import LSTM_BITS


def check_plain(graph):
    """Refuse a graph whose layers are already compressed."""
    if any(isinstance(call.operation, CompressedLayer) for call in graph.calls):
        raise InvalidArgumentError(
            "The model is already compressed. Compress the plain model, or strip(model) first. "
            f"Received: {graph.name}"
        )


def check_weights(model, graph):
    """Refuse weights that no layer can have for itself, or that are no float kernels.

    Raises:
        UnsupportedModelError: Keras has quantized a layer, an adapter is inside a layer that is
            not looked into, or layers share a weight.
    """
    _check_not_quantized(model)
    called = {call.operation for call in graph.calls}
    for layer in all_layers(model):
        if getattr(layer, "lora_enabled", False) and layer not in called:
            raise UnsupportedModelError(
                "A low-rank adapter (LoRA) inside another layer cannot be merged. Compress the "
                f"model without it. Received: {layer.path}"
            )
    _check_untied(graph)


def _check_not_quantized(model):
    for layer in all_layers(model):
        if layer.quantization_mode is not None:
            raise UnsupportedModelError(
                "kc.compress needs the float weights, which model.quantize has replaced. Pass the "
                "model as it was before, for example loaded from a file that was saved before "
                f"model.quantize({layer.quantization_mode!r}). Received: layer {layer.name!r}, "
                f"of dtype policy {layer.dtype_policy.name!r}"
            )


def _check_untied(graph):
    """Refuse weights that two layers share, or that a call reads directly: copies would differ."""
    owners: dict[int, str] = {}
    for operation in dict.fromkeys(call.operation for call in graph.calls):
        for variable in getattr(operation, "weights", ()):
            owner = owners.setdefault(id(variable), operation.name)
            if owner != operation.name:
                _refuse_tied(variable, f"the layers {owner!r} and {operation.name!r} share it")
    for call in graph.calls:
        for leaf in keras.tree.flatten((call.args, call.kwargs)):
            if isinstance(leaf, keras.Variable):
                _refuse_tied(leaf, f"the operation {call.name!r} reads it")


def _refuse_tied(variable, how):
    raise UnsupportedModelError(
        "Each layer of a compressed model has weights of its own, so tied weights would come "
        "apart in training. Give the second layer weights of its own, call one layer twice, or, "
        "for pruning, use kc.PruningCallback on the plain model, without kc.compress. "
        f"Received: {variable.path}; {how}"
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


def check_recurrent(graph, activation_bits):
    """Refuse a recurrent layer that no integer file can hold as it is trained.

    Raises:
        UnsupportedModelError: A loop of such a layer would remain in the file.
    """
    for call in graph.calls:
        layer = call.operation
        if not isinstance(layer, RECURRENT):
            continue
        reason = training_obstacle(call)
        if reason is None and activation_bits > 8:
            reason = f"TFLite has no LSTM operator with {activation_bits}-bit activations"
        # An unrolled layer is no loop: calibration quantizes it at conversion.
        rolled = not all(part.unroll for part in directions(layer))
        if reason is not None and (rolled or activation_bits <= 8 and _is_lstm(layer)):
            raise UnsupportedModelError(
                f"Quantization cannot be trained inside layer {call.name!r}: {reason}. Train "
                "without it, with kc.compress(model, pruning=kc.Pruning()) or kc.PruningCallback, "
                "build the layer with unroll=True (the weights stay the same), and convert "
                "kc.strip(model) with representative_dataset=samples"
            )


def _is_lstm(layer):
    return any(isinstance(part.cell, keras.layers.LSTMCell) for part in directions(layer))


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
        if isinstance(call.operation, LstmSteps) and names.get(call.name, LSTM_BITS) != LSTM_BITS:
            raise InvalidArgumentError(
                f"TFLite's LSTM operator has weights of {LSTM_BITS} bits: leave the layer out of "
                f"weight_bits. Received: weight_bits={names[call.name]} of layer {call.name!r}"
            )
        if call.name in names and not layer_types.type_of(call.operation).is_quantized:
            raise InvalidArgumentError(
                f"The kernel of a {type(call.operation).__name__} is in float in every TFLite "
                "file: leave the layer out of weight_bits. Received: weight_bits of layer "
                f"{call.name!r}"
            )
