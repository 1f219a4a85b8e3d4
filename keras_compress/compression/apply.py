"""compress() puts wrappers into a copy of a model; strip() takes them out again."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, cast

import keras

from keras_compress.clustering.initializers.base import CentroidInitializer
from keras_compress.compression.checks import (
    check_finite,
    check_plain,
    check_pruning,
    check_quantized,
)
from keras_compress.compression.recipe import Recipe
from keras_compress.compression.recipe_steps import smaller, specs
from keras_compress.data.types import Samples
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.custom_class import keep_class
from keras_compress.graph.graph import Graph, Value, trace
from keras_compress.graph.replay import rebuild
from keras_compress.layers import base as layer_types
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import activation_name, role
from keras_compress.lowering import whole
from keras_compress.lowering.attention import split_attention
from keras_compress.lowering.lower import lower
from keras_compress.pruning.criteria.base import Criterion
from keras_compress.pruning.patterns.base import Pattern
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.range_placement import RangePlacement, place_ranges, warn_unknown
from keras_compress.quantization.settings import FLOAT_BITS, Settings, resolve_settings
from keras_compress.spec import Clustering, Pruning, Quantization
from keras_compress.support import plugins
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.config import (
    CRITERIA,
    INITIALIZERS,
    PATTERNS,
    QUANTIZERS,
    SCHEDULES,
    WeightQuantization,
    every_layer,
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

    Every layer of a known type is wrapped: `kernel -> mask -> cluster -> fake-quantize -> the
    layer's own call`. Quantization also puts an activation range on each tensor that the TFLite
    file will hold, and takes a BatchNormalization behind a kernel into its wrapper. Nested models
    are written out into one graph.

    Args:
        model: A built `keras.Model`: Sequential, functional, or of a class whose `call` gives a
            graph (docs/custom_layers.md). It is not changed.
        pruning: `Pruning` for all layers, or a dict from layer name to `Pruning` (or `None`)
            for those layers alone.
        quantization: `Quantization`, or the name of a profile.
        clustering: `Clustering`, for all layers that it does not leave out.
        recipe: In place of these, a `kc.Recipe`, or the path of its TOML file; the channels and
            blocks that it removes are removed first. `kc.recipe_callbacks` goes with it.
        data: As for `kc.shrink`, for a recipe whose criterion looks at data. With data the
            statistics of BatchNormalizations are measured again behind what a recipe removes.
        steps: Updates of the training to come, over which a recipe's zeros grow.

    Returns:
        A functional `keras.Model`, not compiled, with the model's weights. A class of your own
        that functional models have, with its `train_step`, is kept.

    Raises:
        UnsupportedModelError: The model is unbuilt, no Keras 3 model, or gives no graph.
        UnknownNameError: A layer, criterion, pattern, quantizer or profile that does not exist.
        InvalidArgumentError: Nothing to do, weights that are not finite, or the model is
            compressed already; a strategy of several workers.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
        >>> compressed = compress(model, pruning=Pruning(pattern="unstructured"))
        >>> type(compressed.get_layer("head")).__name__
        'CompressedLayer'
    """
    if recipe is not None:
        if any(given is not None for given in (pruning, quantization, clustering)):
            raise InvalidArgumentError(
                "A recipe says all: give recipe= alone. Received: recipe= and another of "
                "pruning=, quantization=, clustering="
            )
        recipe = Recipe.of(recipe)
        model = smaller(model, recipe, data)
        return compress(model, **specs(model, recipe, steps))
    if pruning is None and quantization is None and clustering is None:
        raise InvalidArgumentError(
            "There is nothing to do: give pruning=kc.Pruning(...), "
            "quantization=kc.Quantization(...), clustering=kc.Clustering(...), or several. "
            "Received: none of them"
        )
    refuse_several_workers()
    graph = trace(model)
    check_plain(graph)
    parts = _split_attention(graph, pruning, quantization, clustering)
    pruning = _named_by_parts(pruning, parts)
    check_pruning(graph, pruning)
    clustering = _resolved_clustering(clustering)
    check_finite(model)
    settings = resolve_settings(quantization)
    placement = None
    if settings is not None:
        settings = dataclasses.replace(
            settings, layer_bits=_named_by_parts(settings.layer_bits, parts)
        )
        placement = place_ranges(lower(graph))
        check_quantized(graph, settings.layer_bits)
        warn_unknown(placement.unknown)
    compressor = _Compressor(graph, pruning, settings, placement, clustering)
    return keep_class(compressor.build(), model)


def strip(model: keras.Model) -> keras.Model:
    """Return the plain model inside a compressed one: masks and clusters applied, no ranges.

    Args:
        model: A model that `compress` returned, trained or not.

    Returns:
        An ordinary functional `keras.Model`, not compiled. Pruned weights are zero, weights keep
        their float precision.

    Raises:
        UnsupportedModelError: The model has no graph.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
        >>> type(strip(compress(model, pruning=Pruning())).get_layer("head")).__name__
        'Dense'
    """
    graph = trace(model)
    copies = LayerCopies()

    def apply(call, args, kwargs):
        if isinstance(call, Value):
            return args[0]
        operation = call.operation
        if isinstance(operation, ActivationQuantizer):
            return args[0]
        part = operation.layer if isinstance(operation, CompressedLayer) else operation
        if (piece := whole.collect(operation, part, args)) is not None:
            return piece
        if whole.is_whole(part):
            return copies.together(operation, part, args[0])
        if isinstance(operation, CompressedLayer):
            training = {key: kwargs[key] for key in ("training",) if key in kwargs}
            return copies.stripped(operation)(args[0], **training)
        if isinstance(operation, PhasedNormalization):
            operation = operation.layer
        return copies.plain(operation)(*args, **kwargs)

    stripped = rebuild(graph, apply)
    copies.copy_weights()
    return keep_class(stripped, model)


@dataclasses.dataclass
class _Compressor:
    graph: Graph
    pruning: Pruning | Mapping | None
    settings: Settings | None
    placement: RangePlacement | None
    clustering: Clustering | None

    def build(self):
        self.copies = LayerCopies()
        self.quantizers = {}
        model = rebuild(self.graph, self._apply)
        self.copies.copy_weights()
        return model

    def _apply(self, call, args, kwargs):
        if isinstance(call, Value):
            return self._quantized(call, args[0], args[0].name)
        if self.placement and call in self.placement.folded.values():
            outputs = args[0]
        else:
            layer = self._layer(call)
            kwargs = {**kwargs, **self._norm_training(call), **self._steps(layer, call, args)}
            outputs = layer(*args, **kwargs)
        flat = keras.tree.flatten(outputs)
        ranged = [
            self._quantized(value, tensor, call.name)
            for value, tensor in zip(call.outputs, flat, strict=True)
        ]
        return ranged

    def _quantized(self, value, tensor, name):
        if self.settings is None or self.placement is None:
            return tensor
        choice = self.placement.ranges.get(value)
        if choice is None or self.settings.activation_bits == FLOAT_BITS:
            return tensor
        if choice.tied_to is not None:
            quantizer = self.quantizers[choice.tied_to]
            return quantizer(tensor, observe=False, averages=choice.averages)
        return self._quantizer(value, name)(tensor)

    def _quantizer(self, value, name):
        """The layer that holds the range of a value, made where it is first asked for."""
        if value not in self.quantizers:
            settings, placement = self._quantizing()
            bits, choice = settings.activation_bits, placement.ranges[value]
            self.quantizers[value] = ActivationQuantizer(
                bits=bits,
                calibrator=settings.calibrator,
                fixed_range=_fixed_range(choice.fixed, bits),
                masked=choice.masked,
                non_negative=choice.non_negative,
                name=self.copies.free_name(f"{name}_range"),
            )
        return self.quantizers[value]

    def _quantizing(self):
        """The settings and the ranges of a model that is quantized, which has both."""
        return cast(Settings, self.settings), cast(RangePlacement, self.placement)

    def _norm_training(self, call):
        """The `training` argument that the folded BatchNormalization was called with."""
        norm = self.placement.folded.get(call) if self.placement else None
        training = None if norm is None else norm.kwargs.get("training")
        return {} if training is None else {"training": training}

    def _steps(self, layer, call, args):
        """The steps of what a quantized kernel reads, which rounds its bias, and of its output."""
        if not isinstance(layer, CompressedLayer) or layer.quantization is None:
            return {}
        _, placement = self._quantizing()
        source = placement.governing.get(call.inputs[0])
        twice = self._output_range(layer, call)
        if source not in self.quantizers or not (layer.rounds_bias or twice):
            return {}
        steps = {"input_step": self.quantizers[source].step_for(args[0])}
        if twice:
            steps["output_step"] = self._quantizer(*twice).step_for(args[0])
        return steps

    def _output_range(self, layer, call):
        """The value whose range follows a kernel that rounds twice, and the name of its call.

        Those are convolutions over packed weights; LiteRT's other kernels round once.
        """
        settings, placement = self._quantizing()
        packed = settings.packs_int4 and layer.quantization.bits <= 4
        twice = packed and layer.layer_type.rounds_twice_when_packed
        if not twice or activation_name(layer.layer) not in (None, "linear", "relu", "relu6"):
            return None
        call = placement.folded.get(call, call)
        readers = call.output.consumers
        if call.output not in placement.ranges and len(readers) == 1:
            call = readers[0] if role(readers[0].operation) is Role.RELU else call
        choice = placement.ranges.get(call.output)
        free = choice is not None and choice.tied_to is None and choice.fixed is None
        quantized = settings.activation_bits != FLOAT_BITS
        return (call.output, call.name) if free and quantized else None

    def _layer(self, call):
        layer = call.operation
        pruning, weights = self._pruning_of(layer), self._quantization_of(layer)
        clustering = self._clustering_of(layer)
        norm = self.placement.folded.get(call) if self.placement else None
        if self.settings and isinstance(layer, keras.layers.BatchNormalization):
            return self.copies.custom(
                layer, lambda name: PhasedNormalization(self.copies.inner(layer), name=name)
            )
        if type(layer) is keras.layers.BatchNormalization:
            return self.copies.fused(layer)
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

    def _pruning_of(self, layer):
        layer_type = layer_types.find(layer)
        if self.pruning is None or layer_type is None:
            return None
        if isinstance(self.pruning, Mapping):
            spec = self.pruning.get(layer.name)
            return None if spec is None else _resolved(spec, every=True)
        if self.pruning.layers is not None:
            return _resolved(self.pruning, every=True) if self.pruning.layers(layer) else None
        if not any(kernel.prunable for kernel in layer_type.kernels(layer)):
            return None
        return _resolved(self.pruning, every=False)

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
        dense = isinstance(layer, keras.layers.Dense)
        return WeightQuantization(
            bits=self.settings.layer_bits.get(layer.name, self.settings.weight_bits),
            per_channel=self.settings.per_channel_dense if dense else self.settings.per_channel,
            quantizer=plugins.resolve(QUANTIZERS, self.settings.weight_quantizer, WeightQuantizer),
            at_run_time=self.settings.at_run_time,
        )


def _resolved(spec, every):
    return dataclasses.replace(
        spec,
        pattern=plugins.resolve(PATTERNS, spec.pattern, Pattern),
        criterion=plugins.resolve(CRITERIA, spec.criterion, Criterion),
        schedule=None
        if spec.schedule is None
        else plugins.resolve(SCHEDULES, spec.schedule, Schedule),
        layers=every_layer if every else None,
    )


def _resolved_clustering(spec):
    if spec is None:
        return None
    if not isinstance(spec, Clustering):
        raise InvalidArgumentError(f"clustering must be a kc.Clustering. Received: {spec!r}")
    initializer = plugins.resolve(INITIALIZERS, spec.initializer, CentroidInitializer)
    return dataclasses.replace(spec, initializer=initializer)


def _fixed_range(fixed, bits):
    """At 16 bits the fixed scales are 1/32768, so that the largest value is just below one."""
    if fixed is None or bits != 16:
        return fixed
    return -32767 / 32768, 32767 / 32768


def _split_attention(graph, pruning, quantization, clustering):
    """Take attentions apart where something in them is to be compressed."""
    if quantization is None and clustering is None and isinstance(pruning, Mapping):
        named = tuple(str(name) for name in pruning)
        return split_attention(
            graph, lambda name: any(n == name or n.startswith(f"{name}_") for n in named)
        )
    return split_attention(graph)


def _named_by_parts(choices, parts):
    """Have what was chosen for an attention hold for each of its projections."""
    if not isinstance(choices, Mapping):
        return choices
    spread = {part: choice for name, choice in choices.items() for part in parts.get(name, (name,))}
    return {**spread, **{name: choices[name] for name in spread if name in choices}}
