"""The settings of a wrapper, and their form in a `.keras` file."""

import dataclasses

from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.spec import Clustering, Pruning, Scope
from keras_compress.support import plugins

QUANTIZERS = "keras_compress.quantization.quantizers"
CRITERIA = "keras_compress.pruning.criteria"
PATTERNS = "keras_compress.pruning.patterns"
SCHEDULES = "keras_compress.pruning.schedules"
INITIALIZERS = "keras_compress.clustering.initializers"


@dataclasses.dataclass(frozen=True)
class WeightQuantization:
    """How the kernels of one layer are quantized.

    Args:
        bits: Width, 2 to 8.
        per_channel: Whether each output channel has its own scale.
        quantizer: A `WeightQuantizer`.
        at_run_time: Whether the layer's input is quantized at run time.
    """

    bits: int
    per_channel: bool
    quantizer: WeightQuantizer
    at_run_time: bool = False


def pruning_config(spec):
    """Return a resolved `Pruning` as a JSON-serializable dict; `None` for `None`."""
    if spec is None:
        return None
    return {
        "pattern": plugins.to_config(PATTERNS, spec.pattern),
        "criterion": plugins.to_config(CRITERIA, spec.criterion),
        "schedule": plugins.to_config(SCHEDULES, spec.schedule),
        "scope": str(spec.scope),
        "every_kernel": spec.layers is not None,
        "floor": spec.floor,
    }


def pruning_from(config):
    """Return the `Pruning` that `pruning_config` described."""
    if config is None:
        return None
    return Pruning(
        pattern=plugins.from_config(PATTERNS, config["pattern"]),
        criterion=plugins.from_config(CRITERIA, config["criterion"]),
        schedule=plugins.from_config(SCHEDULES, config["schedule"]),
        scope=Scope(config["scope"]),
        layers=every_layer if config["every_kernel"] else None,
        floor=config.get("floor", 0.0),  # Files from before there was one go on as they began.
    )


def every_layer(layer):
    """Accept any layer: the predicate of a `Pruning` that was given for named layers."""
    return True


def clustering_config(spec):
    """Return a resolved `Clustering` as a JSON-serializable dict; `None` for `None`."""
    if spec is None:
        return None
    return {
        "clusters": spec.clusters,
        "initializer": plugins.to_config(INITIALIZERS, spec.initializer),
        "per_channel": spec.per_channel,
        "every_kernel": spec.layers is not None,
    }


def clustering_from(config):
    """Return the `Clustering` that `clustering_config` described."""
    if config is None:
        return None
    return Clustering(
        clusters=config["clusters"],
        initializer=plugins.from_config(INITIALIZERS, config["initializer"]),
        per_channel=config["per_channel"],
        layers=every_layer if config["every_kernel"] else None,
    )


def quantization_config(settings):
    """Return a `WeightQuantization` as a JSON-serializable dict; `None` for `None`."""
    if settings is None:
        return None
    quantizer = plugins.to_config(QUANTIZERS, settings.quantizer)
    return {
        "bits": settings.bits,
        "per_channel": settings.per_channel,
        "quantizer": quantizer,
        "at_run_time": settings.at_run_time,
    }


def quantization_from(config):
    """Return the `WeightQuantization` that `quantization_config` described."""
    if config is None:
        return None
    quantizer = plugins.from_config(QUANTIZERS, config["quantizer"])
    return WeightQuantization(
        config["bits"], config["per_channel"], quantizer, config.get("at_run_time", False)
    )
