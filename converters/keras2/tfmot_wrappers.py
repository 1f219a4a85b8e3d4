"""Remove the wrappers of tensorflow-model-optimization from a model that was read as data.

Sources: the classes `PruneLowMagnitude`, `QuantizeWrapperV2`, `QuantizeLayer` and
`ClusterWeights` of tensorflow-model-optimization 0.8, whose weights' names are read here.
"""

import copy
import dataclasses
import re
from typing import Any

import numpy as np

from keras_compress.converters.keras2.keras2_model import Keras2Model, layer_entries
from keras_compress.errors import UnsupportedModelError

_PRUNED, _CLUSTERED = "PruneLowMagnitude", "ClusterWeights"
_QUANTIZED = ("QuantizeWrapper", "QuantizeWrapperV2")
_INPUT_QUANTIZER = "QuantizeLayer"
_WRAPPERS = (_PRUNED, _CLUSTERED, *_QUANTIZED)
# What wrappers hold: how to quantize a layer, and when to prune it.
_SETTINGS = (
    "QuantizeAnnotate",
    "QuantizeAwareActivation",
    "NoOpActivation",
    "OutputOnlyConfig",
    "FixedQuantizeConfig",
    "NoOpQuantizeConfig",
    "Default8BitQuantizeConfig",
    "Default8BitQuantizeConfigRNN",
    "Default8BitActivationQuantizeConfig",
    "Default8BitConvQuantizeConfig",
    "Default8BitConvTransposeQuantizeConfig",
    "Default8BitOutputQuantizeConfig",
    "DefaultNBitQuantizeConfig",
    "DefaultNBitActivationQuantizeConfig",
    "DefaultNBitConvQuantizeConfig",
    "DefaultNBitConvTransposeQuantizeConfig",
    "DefaultNBitOutputQuantizeConfig",
    "AllValuesQuantizer",
    "LastValueQuantizer",
    "MovingAverageQuantizer",
    "FixedQuantizer",
    "NoQuantizer",
    "Default8BitConvWeightsQuantizer",
    "Default8BitConvTransposeWeightsQuantizer",
    "ConstantSparsity",
    "PolynomialDecay",
)
_NESTED = ("Functional", "Model", "Sequential")
# The range that tfmot starts from; a range that still equals it was never trained.
_UNTRAINED = (-6.0, 6.0)
# Weights are hardly ever exactly zero by chance.
_PRUNED_SHARE = 0.1
_BARE_EXTRA = re.compile(
    "mask|threshold|pruning_step|optimizer_step|.*_(min|max)|cluster_centroids_.*"
    "|pulling_indices_.*"
)
_OWN_ORDER = ("depthwise_kernel", "pointwise_kernel", "embeddings", "kernel", "bias")


@dataclasses.dataclass
class Taken:
    """The masks, shared values and ranges that wrappers held, by the name of the layer inside.

    Args:
        masks: Layer -> 0/1 array of the shape of the kernel.
        patterns: Layer -> name of the pruning pattern of its mask.
        clusters: Layer -> number of shared values.
        clustered_per_channel: Whether each channel of a convolution has values of its own.
        quantized: Names of the layers whose weights are quantized.
        bits: Bit widths (weights, activations).
        ranges: (layer, place) -> (minimum, maximum); a place is `"output"`, `"pre_activation"`
            or `"post_activation"`.
        untrained: Whether some ranges were never set by a training step.
    """

    masks: dict = dataclasses.field(default_factory=dict)
    patterns: dict = dataclasses.field(default_factory=dict)
    clusters: dict = dataclasses.field(default_factory=dict)
    clustered_per_channel: bool = False
    quantized: set = dataclasses.field(default_factory=set)
    bits: tuple = (8, 8)
    ranges: dict = dataclasses.field(default_factory=dict)
    untrained: bool = False

    def __bool__(self):
        return bool(self.masks or self.clusters or self.quantized)


def has_wrappers(config):
    """Return whether a configuration contains wrappers of tensorflow-model-optimization.

    Args:
        config: A model's configuration.
    """
    wrappers = {*_WRAPPERS, _INPUT_QUANTIZER}
    return any(_plain_name(entry) in wrappers for entry in layer_entries(config))


def is_of_tfmot(entry):
    """Return whether an entry names a wrapper, or a setting in one.

    Args:
        entry: A dict with `class_name`.
    """
    return _plain_name(entry) in (*_WRAPPERS, _INPUT_QUANTIZER, *_SETTINGS)


def _plain_name(entry):
    return str(entry["class_name"]).split(">")[-1]


def strip(source):
    """Return the plain model inside, and the masks, values and ranges of its wrappers.

    Args:
        source: A `Keras2Model`.

    Returns:
        Pair (`Keras2Model`, `Taken`); kernels are masked and clustered as in the wrapped model.

    Raises:
        UnsupportedModelError: A layer cannot be taken out of its wrapper.
    """
    stripper = _Stripper(source)
    config = stripper.model(copy.deepcopy(source.config))
    plain = dataclasses.replace(source, config=config, weights=stripper.weights)
    return plain, stripper.taken


class _Stripper:
    def __init__(self, source: Keras2Model):
        self._source = source
        self.taken = Taken()
        self.weights: dict[str, list[tuple[str, Any]]] = {}

    def model(self, entry, outer=None):
        """Strip a model's entry; `outer` is the name of the layer under which its weights are."""
        config = entry["config"]
        renamed, forwarded = {}, {}
        entries = []
        for layer in config["layers"]:
            kind, name = layer["class_name"].split(">")[-1], layer["config"].get("name")
            if kind == _INPUT_QUANTIZER:
                self._input_range(layer, name)
                if "inbound_nodes" in layer:
                    forwarded[name] = _references(layer["inbound_nodes"])[0]
                continue
            if kind in _WRAPPERS:
                layer = self._unwrap(layer, kind, name, outer)
                renamed[name] = layer["config"]["name"]
            elif kind in _NESTED:
                if outer is None:
                    self.weights[name] = self._source.weights.get(name, [])
                layer = self.model(layer, outer or name)
            elif outer is None:
                self.weights[name] = self._source.weights.get(name, [])
            entries.append(layer)
        config["layers"] = entries
        for layer in entries:
            if "inbound_nodes" in layer:
                layer["inbound_nodes"] = _redirect(layer["inbound_nodes"], renamed, forwarded)
        for key in ("input_layers", "output_layers"):
            if key in config:
                config[key] = _redirect(config[key], renamed, forwarded)
        config.pop("build_input_shape", None)
        return entry

    def _unwrap(self, entry, kind, name, outer):
        inner = entry["config"]["layer"]
        layer = inner["config"]["name"]
        if inner["class_name"] in _NESTED:
            raise UnsupportedModelError(
                f"Wrapper {name!r} holds a whole model. Strip it with tfmot first. "
                f"Received: {self._source.origin}"
            )
        if outer is None:
            weights = self._source.weights.get(name, [])
        else:
            weights = self.weights[outer]
        own, extra = _split(weights, name)
        if kind == _PRUNED:
            own = self._masked(own, extra, entry, layer, outer is not None)
        elif kind == _CLUSTERED:
            own = self._clustered(own, extra, entry, inner, outer)
        else:
            own = self._quantized(own, extra, entry, inner)
        if outer is None:
            self.weights[layer] = own
        else:
            self.weights[outer] = own
        kept = ("class_name", "config", "module", "registered_name")
        unwrapped = {key: inner[key] for key in kept if key in inner}
        if "inbound_nodes" in entry:
            unwrapped |= {"name": layer, "inbound_nodes": entry["inbound_nodes"]}
        if "batch_input_shape" in entry["config"]:
            unwrapped["config"].setdefault(
                "batch_input_shape", entry["config"]["batch_input_shape"]
            )
        # Keras reads entries without a module in the older format, which the others here have.
        if "module" not in entry:
            unwrapped.pop("module", None)
            unwrapped.pop("registered_name", None)
        return unwrapped

    def _masked(self, own, extra, entry, layer, nested):
        masks = [array for weight, array in extra if weight.startswith("mask")]
        weights = []
        for weight, array in own:
            matching = [mask for mask in masks if mask.shape == array.shape]
            inside = not nested or f"{layer}/" in weight
            if matching and inside and _last(weight) not in ("bias", "depthwise_kernel"):
                mask = matching[0]
                self.taken.masks[layer] = np.asarray(mask, np.float32)
                self.taken.patterns[layer] = _pattern(entry["config"])
                array = array * mask
            weights.append((weight, array))
        return weights

    def _clustered(self, own, extra, entry, inner, outer):
        layer, config = inner["config"]["name"], entry["config"]
        centroids = {
            weight.removeprefix("cluster_centroids_"): array
            for weight, array in extra
            if weight.startswith("cluster_centroids_")
        }
        if not centroids:
            return own
        unknown = [weight for weight, _ in own if _last(weight) not in _OWN_ORDER]
        if unknown or outer is not None or any("/" in name for name in centroids):
            raise UnsupportedModelError(
                f"The clustering of layer {layer!r} ({inner['class_name']}) cannot be taken over. "
                "Save tfmot.clustering.keras.strip_clustering(model) and give that. "
                f"Received: {self._source.origin}"
            )
        indices = {
            weight.removeprefix("pulling_indices_"): array
            for weight, array in extra
            if weight.startswith("pulling_indices_")
        }
        arrays = {_last(weight): array for weight, array in own}
        for kernel, values in centroids.items():
            if config.get("preserve_sparsity"):
                values = np.where(
                    np.abs(values) == np.abs(values).min(-1, keepdims=True), 0, values
                )
            arrays[kernel] = _shared(values, indices[kernel], arrays.get(kernel))
            if config.get("preserve_sparsity"):
                self.taken.masks[layer] = (arrays[kernel] != 0).astype(np.float32)
                self.taken.patterns[layer] = "unstructured"
            self.taken.clusters[layer] = values.shape[-1]
            self.taken.clustered_per_channel |= values.ndim > 1
        return [(f"{layer}/{name}", arrays[name]) for name in _OWN_ORDER if name in arrays]

    def _quantized(self, own, extra, entry, inner):
        layer = inner["config"]["name"]
        values = {weight.split(":")[0]: array for weight, array in extra}
        settings = entry["config"].get("quantize_config", {}).get("config", {})
        self.taken.bits = (
            settings.get("num_bits_weight", self.taken.bits[0]),
            settings.get("num_bits_activation", self.taken.bits[1]),
        )
        for place in ("output", "pre_activation", "post_activation"):
            if f"{place}_min" in values:
                self._range(layer, place, values[f"{place}_min"], values[f"{place}_max"])
        _restore_activations(inner["config"])
        weights = []
        for weight, array in own:
            kernel = _last(weight)
            indices = values.get(f"{kernel}_pulling_indices_tf")
            if indices is not None:
                array = _shared(values[f"{kernel}_cluster_centroids_tf"], indices, None)
            if f"{kernel}_min" in values:
                self.taken.quantized.add(layer)
                if np.mean(array == 0) > _PRUNED_SHARE:
                    self.taken.masks[layer] = (array != 0).astype(np.float32)
                    self.taken.patterns[layer] = "unstructured"
            weights.append((weight, array))
        if inner["class_name"] == "DepthwiseConv2D":
            # The wrapper does not always hold the range of a depthwise kernel.
            self.taken.quantized.add(layer)
        return weights

    def _input_range(self, entry, name):
        values = {_last(weight): array for weight, array in self._source.weights.get(name, [])}
        references = _references(entry.get("inbound_nodes", []))
        source = references[0][0] if references else None
        low, high = values.get(f"{name}_min"), values.get(f"{name}_max")
        if low is not None:
            self._range(source, "output", low, high)

    def _range(self, layer, place, low, high):
        ends = (float(np.min(low)), float(np.max(high)))
        if ends == _UNTRAINED:
            self.taken.untrained = True
        else:
            self.taken.ranges[layer, place] = ends


def _split(weights, wrapper):
    """Split weights into those of layers and those of a wrapper, which get short names."""
    own, extra = [], []
    for name, array in weights:
        inside, _, rest = name.partition("/")
        if inside == wrapper or f"/{wrapper}/" in name:
            extra.append((rest.split(f"{wrapper}/")[-1].split(":")[0], array))
        elif not rest and _BARE_EXTRA.fullmatch(name.split(":")[0]):
            # In a model from a .keras file, names of weights do not include the layer's name.
            extra.append((name.split(":")[0], array))
        else:
            own.append((name, array))
    return own, extra


def _last(weight):
    return weight.split(":")[0].split("/")[-1]


def _shared(centroids, indices, original):
    """Return clustered weights: each is the centroid that tfmot assigns to it.

    Args:
        centroids: Array (clusters,), or (channels, clusters) with the channel last in a kernel.
        indices: Index of the centroid of each weight.
        original: The weights before clustering, which go to the nearest of one set of centroids;
            `None` uses `indices`.
    """
    if centroids.ndim == 1:
        if original is not None:
            flat = original.reshape(-1, 1)
            indices = np.abs(flat - centroids).argmin(1).reshape(original.shape)
        return centroids[indices].astype(np.float32)
    if indices.shape[0] == len(centroids) and indices.shape[-1] != len(centroids):
        indices = np.moveaxis(indices, 0, -1)
    channels = np.arange(len(centroids))
    return centroids[channels, indices].astype(np.float32)


def _pattern(config):
    ratio, block = config.get("sparsity_m_by_n"), config.get("block_size")
    if ratio:
        # tfmot's ratio counts zeros; the pattern's name counts the weights that are kept.
        return f"{int(ratio[1]) - int(ratio[0])}:{int(ratio[1])}"
    if block and tuple(block) != (1, 1) and block[0] == 1:
        return f"{int(block[0])}x{int(block[1])}"
    return "unstructured"


def _restore_activations(config):
    """Put back the activations of a layer that tfmot has wrapped."""
    for key, value in config.items():
        if isinstance(value, dict) and value.get("class_name", "").endswith(
            "QuantizeAwareActivation"
        ):
            inner = value["config"]["activation"]
            unused = isinstance(inner, dict) and inner.get("class_name") == "NoOpActivation"
            config[key] = "linear" if unused else inner
        elif isinstance(value, dict) and value.get("class_name") == "NoOpActivation":
            config[key] = "linear"


def _is_reference(value):
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(index, int) for index in value[1:3])
    )


def _references(nodes):
    if _is_reference(nodes):
        return [nodes]
    if isinstance(nodes, dict):
        nodes = list(nodes.values())
    if isinstance(nodes, list):
        return [reference for node in nodes for reference in _references(node)]
    return []


def _redirect(nodes, renamed, forwarded):
    """Return nodes that refer to layers by their new names, bypassing removed layers."""
    if _is_reference(nodes):
        name, node, tensor, *kwargs = nodes
        if name in forwarded:
            name, node, tensor = forwarded[name][:3]
        kwargs = [_redirect(value, renamed, forwarded) for value in kwargs]
        return [renamed.get(name, name), node, tensor, *kwargs]
    if isinstance(nodes, list):
        return [_redirect(value, renamed, forwarded) for value in nodes]
    if isinstance(nodes, dict):
        return {key: _redirect(value, renamed, forwarded) for key, value in nodes.items()}
    return nodes
