"""Give what tensorflow-model-optimization has learned to a compressed Keras 3 model."""

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
    """Return a compressed model with the masks, shared values and ranges that were taken.

    Args:
        model: The plain `keras.Model`.
        taken: A `Taken`.

    Returns:
        A compressed `keras.Model`. Steps of weights follow the weights, as those of tfmot do in
        training.
    """
    known = {layer.name: layer for layer in all_layers(model) if layer_types.find(layer)}
    lost = sorted((taken.masks.keys() | taken.clusters.keys()) - known.keys())
    if lost:
        warnings.warn(
            f"Zeros and shared values of layers {', '.join(lost)} are kept as they are, and more "
            "training would lose them: no layer of their type is pruned or clustered here.",
            stacklevel=4,
        )
    masks = {name: mask for name, mask in taken.masks.items() if name in known}
    clusters = {name: count for name, count in taken.clusters.items() if name in known}
    clusterable = {name for name, layer in known.items() if _kernels(layer, prunable=True)}
    if clusters and not clusterable <= clusters.keys():
        # A predicate takes all kernels of a layer, also those that tfmot clusters in none.
        clusters = {n: count for n, count in clusters.items() if not _kernels(known[n], False)}
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
    chosen = None if clusterable <= clusters.keys() else lambda layer: layer.name in clusters
    return Clustering(clusters=count, per_channel=per_channel, layers=chosen)


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
        why = " (ranges of -6 to 6, where tfmot begins, were left out)" if taken.untrained else ""
        warnings.warn(
            f"No trained range was found for the outputs of {', '.join(missing)}{why}: give "
            "kc.convert a representative_dataset, or set all ranges with kc.calibrate.",
            stacklevel=5,
        )


def _range_of(name, ranges, model):
    """Find the range of what a layer, or a part of it, puts out."""
    inputs = [tensor.name for tensor in model.inputs]
    for ending in ("_activation_product", "_product", "_activation"):
        whole = name.removesuffix(ending)
        if whole != name and (found := _output(whole, ranges)) is not None:
            return found
    if (name, "pre_activation") in ranges:
        return ranges[name, "pre_activation"]
    found = _output(name, ranges)
    # A Sequential model's file does not name its input.
    if found is None and name in inputs and len(inputs) == 1:
        found = ranges.get((None, "output"))
    return found


def _output(name, ranges):
    return ranges.get((name, "output"), ranges.get((name, "post_activation")))
