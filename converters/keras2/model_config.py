"""The configuration in an untrusted model file: JSON text, read within limits."""

import json
from collections.abc import Iterator
from typing import Any

from keras_compress.errors import InvalidArgumentError

# A configuration describes layers as text; that of a real model is far smaller than this.
LARGEST_BYTES = 64 << 20
# Text compresses to a tenth or so; layers that repeat, further.
_SMALL_BYTES, _LARGEST_EXPANSION = 1 << 20, 50
# A model inside a model adds six levels. Keras needs several calls for each, Python allows 1,000.
_DEEPEST = 120


def parse(text: str | bytes, origin: str, file_bytes: int | None = None) -> Any:
    """Return the configuration in a text.

    Args:
        text: JSON.
        origin: Where it was read from, for error messages.
        file_bytes: Size of the file that holds it; `None` if it is not known.

    Returns:
        The decoded value.

    Raises:
        InvalidArgumentError: The text is not JSON, too long, or nested too deeply.

    Example:
        >>> parse('{"class_name": "Dense", "config": {"units": 3}}', "a text")["class_name"]
        'Dense'
    """
    check_size(len(text), file_bytes, origin)
    try:
        config = json.loads(text)
    except RecursionError:
        raise _too_deep(origin) from None
    except ValueError as error:
        raise InvalidArgumentError(
            f"The configuration of a model must be JSON: {error}. Received: {origin}"
        ) from None
    check_depth(config, origin)
    return config


def check_size(size: int, file_bytes: int | None, origin: str) -> None:
    """Refuse a configuration that is too long, before it is unpacked.

    Args:
        size: Its length in bytes.
        file_bytes: Size of the file that holds it; `None` if it is not known.
        origin: Where it is read from, for error messages.

    Raises:
        InvalidArgumentError: It is too long.
    """
    limit = LARGEST_BYTES
    if file_bytes is not None:
        limit = min(limit, _SMALL_BYTES + _LARGEST_EXPANSION * file_bytes)
    if size > limit:
        raise InvalidArgumentError(
            f"The configuration of a model has at most {limit:,} bytes in such a file. "
            f"Received: {size:,} bytes in {origin}"
        )


def check_depth(config: Any, origin: str) -> None:
    """Refuse a configuration that is nested more deeply than those of real models.

    Args:
        config: A configuration.
        origin: Where it was read from, for error messages.

    Raises:
        InvalidArgumentError: It is nested too deeply.
    """
    level: list = [config]
    depth = 0
    while level:
        if depth > _DEEPEST:
            raise _too_deep(origin)
        inner: list = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        level, depth = inner, depth + 1


def entries(config: Any) -> Iterator[tuple[dict, str | None]]:
    """Yield every description of an object, and the name of the layer that holds it.

    Args:
        config: A configuration.

    Yields:
        Pairs of a dict with `class_name`, and a name or `None`.
    """
    pending: list[tuple[Any, str | None]] = [(config, None)]
    while pending:
        value, layer = pending.pop()
        if isinstance(value, dict):
            layer = _layer_name(value, layer)
            if "class_name" in value:
                yield value, layer
            value = list(value.values())
        if isinstance(value, list):
            pending += [(inner, layer) for inner in reversed(value)]


def _layer_name(value, outer):
    config = value.get("config")
    name = config.get("name") if "class_name" in value and isinstance(config, dict) else None
    return name if isinstance(name, str) else outer


def _too_deep(origin):
    return InvalidArgumentError(
        f"The configuration of a model has at most {_DEEPEST} levels of nesting, which is room "
        f"for models in models of real files. Received: {origin}, with more"
    )
