"""A Keras 2 model as data (configuration and weights), whatever file it was read from."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Keras2Model:
    """The configuration and weights of a Keras 2 model.

    Args:
        config: The model's configuration, `{"class_name": ..., "config": {...}}`.
        weights: Name of a layer -> list of (name of the weight, array), in Keras 2's order.
        origin: Where it was read from, for error messages.
        top_level: Weights of the model itself, outside its layers.
    """

    config: dict
    weights: dict[str, list[tuple[str, Any]]]
    origin: str
    top_level: tuple = ()


def layer_entries(config):
    """Yield the entries of all layers, including those of nested models and wrapped layers.

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
