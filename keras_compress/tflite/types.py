"""The types that functions accept as a TFLite file."""

import os
from typing import Protocol, TypeAlias


class HasContent(Protocol):
    """An object that holds the bytes of a file, such as a `ConvertedModel`."""

    @property
    def content(self) -> bytes:
        """The bytes."""


FileSource: TypeAlias = bytes | str | os.PathLike[str] | HasContent
