"""Plugins by file name: a new criterion, schedule, pattern … is one new file.

A plugin package (such as `keras_compress.pruning.criteria`) has one public class per file. The
file's name is the plugin's name, and the class has the same name in CamelCase: `l1_norm.py` defines
`L1Norm`. Nothing has to be registered anywhere else.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from keras_compress.errors import InvalidArgumentError, UnknownNameError

PluginT = TypeVar("PluginT")


@dataclasses.dataclass(frozen=True)
class Plugin:
    """Base of plugins that are frozen dataclasses: their fields are their configuration."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as a dict of JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the plugin that `get_config` described."""
        return cls(**config)


@functools.cache
def names(package: str) -> tuple[str, ...]:
    """Return the names of the plugins of a package.

    Args:
        package: Dotted name of the plugin package.

    Returns:
        Sorted tuple of plugin names.

    Example:
        >>> names("keras_compress.pruning.schedules")
        ('constant_sparsity', 'cosine_decay', 'one_shot', 'polynomial_decay')
    """
    path = importlib.import_module(package).__path__
    modules = (module.name for module in pkgutil.iter_modules(path))
    return tuple(sorted(name for name in modules if not name.startswith("_") and name != "base"))


@functools.cache
def get(package: str, name: str) -> type[Any]:
    """Return the plugin class of a name.

    Args:
        package: Dotted name of the plugin package.
        name: The plugin's name, which is its file's name.

    Returns:
        The class.

    Raises:
        UnknownNameError: No file of the package has that name; the message suggests the nearest.

    Example:
        >>> get("keras_compress.pruning.criteria", "l1_norm").__name__
        'L1Norm'
    """
    if name not in names(package):
        raise UnknownNameError(_kind(package), name, names(package))
    module = importlib.import_module(f"{package}.{name}")
    class_name = name.replace("_", "")
    for attribute, value in vars(module).items():
        if isinstance(value, type) and attribute.lower() == class_name:
            return value
    raise TypeError(f"{module.__name__} must define the class of its name in CamelCase.")


def resolve(package: str, value: str | PluginT, base: type[PluginT]) -> PluginT:
    """Return a plugin instance from a name or from an instance.

    A name that is not a file's name is passed to the `from_name` class method of each plugin that
    has one (the N:M pattern reads `"2:4"`).

    Args:
        package: Dotted name of the plugin package.
        value: A name, or an instance of `base`.
        base: The class that all plugins of the package extend.

    Returns:
        An instance of `base`.

    Raises:
        UnknownNameError: No plugin has that name.
        InvalidArgumentError: The value is neither a name nor an instance of `base`.
    """
    if isinstance(value, base):
        return value
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"A {_kind(package)} must be a name or a {base.__name__}. Received: {value!r}"
        )
    if value not in names(package):
        for name in names(package):
            parse = getattr(get(package, name), "from_name", None)
            parsed = parse(value) if parse else None
            if parsed is not None:
                return parsed
    return get(package, value)()


def _kind(package: str) -> str:
    last = package.rsplit(".", 1)[-1]
    return {"criteria": "criterion"}.get(last, last.removesuffix("s")).replace("_", " ")


def to_config(package: str, plugin: Any) -> dict[str, Any] | None:
    """Return a plugin instance as plain values, for a model file.

    Args:
        package: Dotted name of the plugin package.
        plugin: A plugin instance with `get_config`, or `None`.

    Returns:
        `None`, or a dict that `from_config` reads. A class that is not in a file of the package is
        described by Keras' own registry (`keras.saving.register_keras_serializable`).
    """
    if plugin is None:
        return None
    name = type(plugin).__module__.rsplit(".", 1)[-1]
    if type(plugin).__module__ == f"{package}.{name}":
        return {"name": name, "config": plugin.get_config()}
    import keras

    return keras.saving.serialize_keras_object(plugin)


def from_config(package: str, config: Mapping[str, Any] | None) -> Any:
    """Return the plugin instance that `to_config` described.

    Args:
        package: Dotted name of the plugin package.
        config: The result of `to_config`.

    Returns:
        The plugin instance, or `None`.
    """
    if config is None:
        return None
    if "name" in config:
        return get(package, config["name"]).from_config(config["config"])
    import keras

    return keras.saving.deserialize_keras_object(config)
