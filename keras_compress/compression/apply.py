"""compress() copies a model and wraps its layers; strip() removes the wrappers again."""

import dataclasses
import inspect
import os
from collections.abc import Mapping
from typing import Any

import keras

from keras_compress.clustering.initializers.base import CentroidInitializer
from keras_compress.compression.checks import (
    check_finite,
    check_plain,
    check_pruning,
    check_quantized,
    check_recurrent,
    check_weights,
)
from keras_compress.compression.preparation import prepare
from keras_compress.compression.range_layers import RangeLayers
from keras_compress.compression.recipe import Recipe
from keras_compress.compression.recipe_steps import smaller, specs
from keras_compress.compression.refused_layers import warn_refused
from keras_compress.compression.selection import check_selection, pruning_of
from keras_compress.data.types import Samples
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.custom_class import keep_class
from keras_compress.graph.graph import Graph, Value, trace
from keras_compress.graph.rebuilt_model import named_by_layers, named_outputs
from keras_compress.graph.replay import rebuild
from keras_compress.layers import base as layer_types
from keras_compress.lowering import whole
from keras_compress.lowering.activation_layers import SiluProduct
from keras_compress.lowering.attention import split_attention
from keras_compress.lowering.lower import lower
from keras_compress.lowering.recurrent import split_recurrent
from keras_compress.lowering.recurrent_layers import LstmSteps
from keras_compress.lowering.whole_activations import WholeActivations
from keras_compress.pruning.criteria.base import Criterion
from keras_compress.pruning.patterns.base import Pattern
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.range_placement import RangePlacement, place_ranges, warn_unknown
from keras_compress.quantization.settings import FLOAT_BITS, Settings, resolve_settings
from keras_compress.spec import Clustering, Pruning, Quantization
from keras_compress.support import plugins
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer, arguments_of_layer
from keras_compress.wrappers.compressed_lstm import LSTM_BITS, CompressedLstm
from keras_compress.wrappers.config import (
    CRITERIA,
    INITIALIZERS,
    PATTERNS,
    QUANTIZERS,
    SCHEDULES,
    WeightQuantization,
)
from keras_compress.wrappers.copies import LayerCopies
from keras_compress.wrappers.phased_normalization import PhasedNormalization
from keras_compress.wrappers.replicas import refuse_several_workers


def compress(
    model: keras.Model,
    pruning: Pruning | Mapping[str, Pruning | None] | None = None,
    quantization: Quantization | str | os.PathLike | Profile | None = None,
    clustering: Clustering | None = None,
    *,
    recipe: Recipe | Mapping[str, Any] | str | os.PathLike | None = None,
    data: Samples | None = None,
    steps: int = 0,
) -> keras.Model:
    """Return a copy of a model that prunes, clusters and quantizes itself while it is trained.

    Every layer of a supported type is wrapped: `kernel -> mask -> cluster -> fake-quantize -> the
    layer's own call`. Quantization also adds an activation range for each tensor that the TFLite
    file will store, and moves a BatchNormalization that follows a kernel into the kernel's wrapper.
    Nested models are flattened into one graph.

    Args:
        model: A built `keras.Model`: Sequential, functional, or of a class whose `call` can be
            traced to a graph (docs/custom_layers.md). It is not changed.
        pruning: `Pruning` for all layers, or a dict from layer name to `Pruning` (or `None`)
            for only those layers.
        quantization: `Quantization`, or the name of a profile.
        clustering: `Clustering` for all layers that its predicate does not exclude.
        recipe: A `kc.Recipe` or the path of its TOML file, instead of the three arguments above.
            Its channels and blocks are removed first. Train with `kc.recipe_callbacks`.
        data: As for `kc.shrink`, for a recipe whose criterion needs data. With data, the
            statistics of BatchNormalizations are measured again after the removal.
        steps: Number of updates of the training that follows, over which a recipe's sparsity grows.

    Returns:
        A functional `keras.Model`, not compiled, with the model's weights. A functional model of
        your own class keeps that class and its `train_step`.

    Raises:
        UnsupportedModelError: The model is unbuilt, not a Keras 3 model, or cannot be traced.
        UnknownNameError: A layer, criterion, pattern, quantizer or profile that does not exist.
        InvalidArgumentError: Nothing to do or to prune, weights that are not finite, a model that
            is already compressed, or a strategy of several workers.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
        >>> compressed = compress(model, pruning=Pruning(pattern="unstructured"))
        >>> type(compressed.get_layer("head")).__name__
        'CompressedLayer'
    """
    if recipe is not None:
        if any(given is not None for given in (pruning, quantization, clustering)):
            raise InvalidArgumentError(
                "A recipe contains all settings, so pass recipe= alone. Received: recipe= together "
                "with pruning=, quantization= or clustering="
            )
        recipe = Recipe.of(recipe)
        model = smaller(model, recipe, data)
        return compress(model, **specs(model, recipe, steps))
    if pruning is None and quantization is None and clustering is None:
        raise InvalidArgumentError(
            "There is nothing to do: pass pruning=kc.Pruning(...), "
            "quantization=kc.Quantization(...), clustering=kc.Clustering(...), or several of them. "
            "Received: none of them"
        )
    refuse_several_workers()
    graph = trace(model)
    check_plain(graph)
    check_weights(model, graph)
    prepare(graph)
    settings = resolve_settings(quantization)
    parts = _split_attention(graph, pruning, quantization, clustering)
    if settings is not None and settings.activation_bits != FLOAT_BITS:
        check_recurrent(graph, settings.activation_bits)
    if settings is not None and settings.activation_bits <= 8:
        split = split_recurrent(graph)
        parts |= {layer.name: names for layer, names in split.items()}
        pruning, settings, clustering = (
            _asked_about_whole_layers(spec, split) for spec in (pruning, settings, clustering)
        )
    pruning = _named_by_parts(pruning, parts)
    check_pruning(graph, pruning)
    check_selection(graph, pruning, is_alone=quantization is None and clustering is None)
    clustering = _resolved_clustering(clustering)
    check_finite(model)
    placement = None
    if settings is not None:
        warn_refused(graph, settings.activation_bits)
        settings = dataclasses.replace(
            settings, layer_bits=_named_by_parts(settings.layer_bits, parts)
        )
        placement = place_ranges(lower(graph))
        check_quantized(graph, settings.layer_bits)
        warn_unknown(placement.unknown)
    compressor = _Compressor(graph, pruning, settings, placement, clustering)
    return named_outputs(keep_class(compressor.build(), model), graph.output_names)


def strip(model: keras.Model) -> keras.Model:
    """Return a compressed model as a plain one: masks and clusters applied, ranges removed.

    Args:
        model: A model that `compress` returned, trained or not.

    Returns:
        An ordinary functional `keras.Model`, not compiled. Pruned weights are zero; weights are not
        rounded.

    Raises:
        UnsupportedModelError: The model cannot be traced to a graph.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
        >>> type(strip(compress(model, pruning=Pruning())).get_layer("head")).__name__
        'Dense'
    """
    graph = trace(model)
    copies = LayerCopies()
    activations = WholeActivations(graph)

    def apply(call, args, kwargs):
        if isinstance(call, Value):
            return args[0]
        operation = call.operation
        if isinstance(operation, ActivationQuantizer) or call in activations.parts:
            return keras.tree.flatten(args)[0]
        if isinstance(operation, SiluProduct):
            return copies.silu(operation)(args[0][0])
        changes = activations.changes.get(operation)
        part = operation.layer if isinstance(operation, CompressedLayer) else operation
        if (piece := whole.collect(operation, part, args)) is not None:
            return piece
        if whole.is_whole(part):
            return copies.together(operation, part, args[0])
        if isinstance(operation, CompressedLayer):
            return copies.stripped(operation, changes)(args[0], **arguments_of_layer(kwargs))
        if isinstance(operation, PhasedNormalization):
            operation = operation.layer
            kwargs = {key: value for key, value in kwargs.items() if key != "input_step"}
        return copies.plain(operation, changes)(*args, **kwargs)

    stripped = rebuild(graph, apply)
    copies.copy_weights()
    return keep_class(named_by_layers(stripped, graph.output_names), model)


@dataclasses.dataclass
class _Compressor:
    graph: Graph
    pruning: Pruning | Mapping | None
    settings: Settings | None
    placement: RangePlacement | None
    clustering: Clustering | None

    def build(self):
        self.copies = LayerCopies()
        self.ranges = None
        if self.settings is not None and self.placement is not None:
            self.ranges = RangeLayers(self.graph, self.settings, self.placement, self.copies)
        model = rebuild(self.graph, self._apply)
        self.copies.copy_weights()
        return model

    def _apply(self, call, args, kwargs):
        if isinstance(call, Value):
            return self._rounded(call, args[0], args[0].name)
        if self.placement and call in self.placement.folded.values():
            outputs = args[0]
        else:
            layer = self._layer(call)
            kwargs = {**kwargs, **self._norm_training(call)}
            if isinstance(layer, CompressedLayer):
                args, kwargs = _first_and_named(call.operation, args, kwargs)
            if self.ranges is not None:
                args = self.ranges.rescaled(call, args)
                kwargs |= self.ranges.steps(layer, call, args)
            outputs = layer(*args, **kwargs)
        tensors = keras.tree.flatten(outputs)
        return [
            self._rounded(value, tensor, call.name)
            for value, tensor in zip(call.outputs, tensors, strict=True)
        ]

    def _rounded(self, value, tensor, name):
        return tensor if self.ranges is None else self.ranges.rounded(value, tensor, name)

    def _norm_training(self, call):
        """Return the `training` argument of the call of the folded BatchNormalization."""
        norm = self.placement.folded.get(call) if self.placement else None
        training = None if norm is None else norm.kwargs.get("training")
        return {} if training is None else {"training": training}

    def _layer(self, call):
        layer = call.operation
        pruning = _resolved(pruning_of(layer, self.pruning))
        weights = self._quantization_of(layer)
        clustering = self._clustering_of(layer)
        norm = self.placement.folded.get(call) if self.placement else None
        if self.settings and isinstance(layer, keras.layers.BatchNormalization):
            return self.copies.custom(
                layer, lambda name: PhasedNormalization(self.copies.inner(layer), name=name)
            )
        if type(layer) is keras.layers.BatchNormalization:
            return self.copies.fused(layer)
        if isinstance(layer, LstmSteps):
            return self.copies.custom(
                layer, lambda name: self._wrap_lstm(layer, name, pruning, weights, clustering)
            )
        if all(setting is None for setting in (pruning, weights, clustering, norm)):
            return self.copies.plain(layer)
        return self.copies.custom(
            layer, lambda name: self._wrap(layer, name, pruning, weights, clustering, norm)
        )

    def _wrap(self, layer, name, pruning, weights, clustering, norm_call):
        inner = self.copies.inner(layer)
        norm = None if norm_call is None else self.copies.inner(norm_call.operation)
        return CompressedLayer(
            inner,
            pruning=pruning,
            quantization=weights,
            batch_norm=norm,
            clustering=clustering,
            name=name,
        )

    def _wrap_lstm(self, layer, name, pruning, weights, clustering):
        return CompressedLstm(
            self.copies.inner(layer),
            pruning=pruning,
            quantization=weights,
            clustering=clustering,
            name=name,
        )

    def _clustering_of(self, layer):
        layer_type = layer_types.find(layer)
        if self.clustering is None or layer_type is None:
            return None
        if self.clustering.layers is not None:
            return self.clustering if self.clustering.layers(layer) else None
        kernels = layer_type.kernels(layer)
        return self.clustering if any(kernel.prunable for kernel in kernels) else None

    def _quantization_of(self, layer):
        layer_type = layer_types.find(layer)
        if self.settings is None or layer_type is None or not layer_type.is_quantized:
            return None
        if self.settings.layers is not None and not self.settings.layers(layer):
            return None
        is_dense = isinstance(layer, keras.layers.Dense)
        bits = self.settings.layer_bits.get(layer.name, self.settings.weight_bits)
        return WeightQuantization(
            bits=LSTM_BITS if isinstance(layer, LstmSteps) else bits,
            per_channel=self.settings.per_channel_dense if is_dense else self.settings.per_channel,
            quantizer=plugins.resolve(QUANTIZERS, self.settings.weight_quantizer, WeightQuantizer),
            at_run_time=self.settings.at_run_time,
        )


def _first_and_named(layer, args, kwargs):
    """Name all arguments of a layer's call but the first: a wrapper has others in their places."""
    names = list(inspect.signature(layer.call).parameters)
    return args[:1], {**dict(zip(names[1:], args[1:], strict=False)), **kwargs}


def _resolved(spec):
    if spec is None:
        return None
    schedule = spec.schedule
    return dataclasses.replace(
        spec,
        pattern=plugins.resolve(PATTERNS, spec.pattern, Pattern),
        criterion=plugins.resolve(CRITERIA, spec.criterion, Criterion),
        schedule=None if schedule is None else plugins.resolve(SCHEDULES, schedule, Schedule),
    )


def _resolved_clustering(spec):
    if spec is None:
        return None
    if not isinstance(spec, Clustering):
        raise InvalidArgumentError(f"clustering must be a kc.Clustering. Received: {spec!r}")
    initializer = plugins.resolve(INITIALIZERS, spec.initializer, CentroidInitializer)
    return dataclasses.replace(spec, initializer=initializer)


def _split_attention(graph, pruning, quantization, clustering):
    """Split the attention layers that contain something to compress."""
    if quantization is None and clustering is None and isinstance(pruning, Mapping):
        pruned = tuple(str(name) for name in pruning)
        return split_attention(
            graph, lambda name: any(n == name or n.startswith(f"{name}_") for n in pruned)
        )
    return split_attention(graph)


def _asked_about_whole_layers(spec, split):
    """Let a predicate see the layer that the user has, where the model has parts of it."""
    predicate = getattr(spec, "layers", None)
    if predicate is None:
        return spec
    wholes = {part: layer for layer, parts in split.items() for part in parts}
    return dataclasses.replace(spec, layers=lambda part: predicate(wholes.get(part.name, part)))


def _named_by_parts(choices, parts):
    """Apply what was chosen for an attention layer to each of its projections."""
    if not isinstance(choices, Mapping):
        return choices
    by_part = {
        part: choice for name, choice in choices.items() for part in parts.get(name, (name,))
    }
    return {**by_part, **{name: choices[name] for name in by_part if name in choices}}
