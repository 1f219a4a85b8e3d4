"""A Keras 2 model as data, whatever it was read from: its configuration and weights."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Keras2Model:
    """The configuration and weights of a Keras 2 model.

    Args:
        config: The model's configuration, `{"class_name": ..., "config": {...}}`.
        weights: Name of a layer -> list of (name of the weight, array), in Keras 2's order.
        origin: What it was read from, for errors.
        top_level: Weights of the model itself, outside of its layers.
    """

    config: dict
    weights: dict[str, list[tuple[str, Any]]]
    origin: str
    top_level: tuple = ()


def layer_entries(config):
    """Yield the entries of all layers, those of nested models and of wrapped layers included.

    Args:
        config: An entry, `{"class_name": ..., "config": {...}}`.

    Yields:
        Dictionaries with `class_name` and `config`, the entry itself first.
    """
    if isinstance(config, dict):
        if "class_name" in config and isinstance(config.get("config"), dict):
            yield config
        for value in config.values():
            yield from layer_entries(value)
    elif isinstance(config, list):
        for value in config:
            yield from layer_entries(value)
