"""What every form of data turns into: samples and their targets, read once."""

import abc
from collections.abc import Iterator
from typing import Any

from keras_compress.data.structure import leaves, shape_of
from keras_compress.errors import InvalidArgumentError


class Source(abc.ABC):
    """Samples x and targets y, both as users have them: an array, or a list or dict of arrays.

    A source is read once; `reading.read` makes another one for another pass.
    """

    @abc.abstractmethod
    def inputs_only(self) -> "Source":
        """Return a source of the inputs, whose targets are not looked at."""

    @abc.abstractmethod
    def batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Yield (x, y) batches; y is `None` where there are no targets.

        Args:
            batch_size: Samples in a batch. Data that come in batches keep theirs.

        Raises:
            InvalidArgumentError: Inputs or targets of unequal lengths.
        """

    @abc.abstractmethod
    def first(self, count: int) -> tuple[Any, Any]:
        """Return (x, y) of the first samples, in memory of their own; no more is read.

        Args:
            count: At most so many.

        Raises:
            InvalidArgumentError: No samples, or inputs or targets of unequal lengths.
        """

    @abc.abstractmethod
    def spread(self, count: int) -> tuple[Any, Any]:
        """Return (x, y) of samples at even distances, of a stream the first.

        Args:
            count: At most so many.

        Raises:
            InvalidArgumentError: No samples, or inputs or targets of unequal lengths.
        """

    @abc.abstractmethod
    def whole(self) -> tuple[Any, Any]:
        """Return (x, y) of all samples.

        Raises:
            InvalidArgumentError: Data without an end.
        """

    @abc.abstractmethod
    def require_end(self) -> None:
        """Raise `InvalidArgumentError` where data are known to have no end."""


def count_samples(x: Any, y: Any, where: str = "") -> int:
    """Return the length that all inputs and targets share.

    Args:
        x: Inputs: an array, or a list or dict of arrays.
        y: Targets, in one of the same forms, or `None`.
        where: Where they come from, for the message, such as `" in item 3 of the data"`.

    Raises:
        InvalidArgumentError: The lengths differ.
    """
    lengths = [shape_of(leaf)[0] if shape_of(leaf) else 1 for leaf in leaves(x)]
    targets = [shape_of(leaf)[0] if shape_of(leaf) else 1 for leaf in leaves(y)]
    if len({*lengths, *targets}) == 1:
        return lengths[0]
    labels = f" and targets of lengths {targets}" if targets else ""
    raise InvalidArgumentError(
        "All inputs and targets must have the same number of samples. "
        f"Received: inputs of lengths {lengths}{labels}{where}"
    )
