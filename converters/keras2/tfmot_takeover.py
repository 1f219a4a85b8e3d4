"""Transfer the masks, shared values and ranges of tfmot to a compressed Keras 3 model."""

import warnings

import numpy as np

from keras_compress.compression.apply import compress
from keras_compress.graph.graph import all_layers
from keras_compress.layers import base as layer_types
from keras_compress.spec import Clustering, Pruning, Quantization
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer

_LARGEST_CODEBOOK = 128


def take_over(model, taken):
    """Return a compressed model with the masks, shared values and ranges of tfmot's wrappers.

    Args:
        model: The plain `keras.Model`.
        taken: The `Taken` that stripping the wrappers returned.

    Returns:
        A compressed `keras.Model`. The quantization steps of weights follow the weights, as they
        do in tfmot's training.
    """
    layers = {layer.name: layer for layer in all_layers(model) if layer_types.find(layer)}
    unsupported = sorted((taken.masks.keys() | taken.clusters.keys()) - layers.keys())
    if unsupported:
        warnings.warn(
            f"The zeros and shared values of layers {', '.join(unsupported)} are kept, but further "
            "training would lose them: layers of their type cannot be pruned or clustered here.",
            stacklevel=4,
        )
    masks = {name: mask for name, mask in taken.masks.items() if name in layers}
    clusters = {name: count for name, count in taken.clusters.items() if name in layers}
    clusterable = {name for name, layer in layers.items() if _kernels(layer, prunable=True)}
    if clusters and not clusterable <= clusters.keys():
        # A predicate selects all kernels of a layer, including those that tfmot never clusters.
        clusters = {n: count for n, count in clusters.items() if not _kernels(layers[n], False)}
    compressed = compress(
        model,
        pruning={name: Pruning(pattern=taken.patterns[name]) for name in masks} or None,
        clustering=_clustering(clusters, clusterable, taken.clustered_per_channel),
        quantization=_quantization(taken),
    )
    for layer in all_layers(compressed):
        if isinstance(layer, CompressedLayer):
            _set_masks(layer, masks.get(layer.name))
            _set_codebooks(layer)
    if taken.quantized:
        _set_ranges(compressed, taken)
    return compressed


def _kernels(layer, prunable):
    return [k for k in layer_types.type_of(layer).kernels(layer) if k.prunable == prunable]


def _clustering(clusters, clusterable, per_channel):
    count = max(clusters.values(), default=0)
    if not 2 <= count <= _LARGEST_CODEBOOK:
        return None
    predicate = None if clusterable <= clusters.keys() else lambda layer: layer.name in clusters
    return Clustering(clusters=count, per_channel=per_channel, layers=predicate)


def _quantization(taken):
    if not taken.quantized:
        return None
    weight_bits, activation_bits = taken.bits
    return Quantization(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        # tfmot has one scale for the kernel of a Dense layer.
        per_channel=True,
        per_channel_dense=False,
    )


def _set_masks(layer, mask):
    if mask is None:
        return
    for prunable in layer.prunable_kernels:
        if tuple(prunable.mask.shape) == mask.shape:
            prunable.mask.assign(mask)


def _set_codebooks(layer):
    for kernel in layer.kernels:
        codebook = layer.codebooks.get(kernel.attribute)
        if codebook is not None:
            codebook.adopt(np.asarray(layer.masked_kernel(kernel)))


def _set_ranges(model, taken):
    missing = []
    for layer in all_layers(model):
        if isinstance(layer, ActivationQuantizer) and layer.fixed_range is None:
            ends = _range_of(layer.name.removesuffix("_range"), taken.ranges, model)
            if ends is None:
                missing.append(layer.name.removesuffix("_range"))
            else:
                layer.set_range(*ends)
    if missing:
        why = " (ranges of -6 to 6, tfmot's initial ones, were ignored)" if taken.untrained else ""
        warnings.warn(
            f"No trained range was found for the outputs of {', '.join(missing)}{why}: pass "
            "kc.convert a representative_dataset, or set all ranges with kc.calibrate.",
            stacklevel=5,
        )


def _range_of(name, ranges, model):
    """Return the range of the outputs of a layer or of a part of it, or `None`."""
    inputs = [tensor.name for tensor in model.inputs]
    for ending in ("_activation_product", "_product", "_activation"):
        whole = name.removesuffix(ending)
        if whole != name and (ends := _output_range(whole, ranges)) is not None:
            return ends
    if (name, "pre_activation") in ranges:
        return ranges[name, "pre_activation"]
    ends = _output_range(name, ranges)
    # A Sequential model's file does not name its input.
    if ends is None and name in inputs and len(inputs) == 1:
        ends = ranges.get((None, "output"))
    return ends


def _output_range(name, ranges):
    return ranges.get((name, "output"), ranges.get((name, "post_activation")))
