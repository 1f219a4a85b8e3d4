"""Generators, lists of samples or batches, and objects with `__len__` and `__getitem__`."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from keras_compress.data.element_source import ElementSource
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source


@runtime_checkable
class _Indexed(Protocol):
    def __getitem__(self, position): ...

    def __len__(self): ...


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data can be iterated over."""
    if isinstance(data, str | bytes | bytearray | Mapping):
        return False
    return isinstance(data, Iterable | _Indexed)


def read(data: Any, inputs: Inputs) -> Source:
    """Return the `ElementSource` of the items; nothing is read yet."""
    if isinstance(data, Iterable):
        return ElementSource(data, inputs)
    return ElementSource((data[position] for position in range(len(data))), inputs)
