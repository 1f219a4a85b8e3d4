"""The common interface of all forms of data: samples and their targets, read once."""

import abc
from collections.abc import Iterator
from typing import Any

from keras_compress.data.structure import leaves, shape_of
from keras_compress.errors import InvalidArgumentError


class Source(abc.ABC):
    """Samples x and targets y, each an array, or a list or dict of arrays.

    A source can be read once; call `reading.read` again for another pass.
    """

    @abc.abstractmethod
    def inputs_only(self) -> "Source":
        """Return a source of the inputs only; targets are not read."""

    @abc.abstractmethod
    def batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Yield (x, y) batches; y is `None` if there are no targets.

        Args:
            batch_size: Samples per batch. Data that are already batches keep their size.

        Raises:
            InvalidArgumentError: Inputs or targets have unequal lengths.
        """

    @abc.abstractmethod
    def first(self, count: int) -> tuple[Any, Any]:
        """Return (x, y) of the first samples as copies; nothing after them is read.

        Args:
            count: Largest number of samples to return.

        Raises:
            InvalidArgumentError: There are no samples, or inputs or targets have unequal lengths.
        """

    @abc.abstractmethod
    def spread(self, count: int) -> tuple[Any, Any]:
        """Return (x, y) of evenly spaced samples, or of the first samples of a stream.

        Args:
            count: Largest number of samples to return.

        Raises:
            InvalidArgumentError: There are no samples, or inputs or targets have unequal lengths.
        """

    @abc.abstractmethod
    def whole(self) -> tuple[Any, Any]:
        """Return (x, y) of all samples.

        Raises:
            InvalidArgumentError: The data are infinite.
        """

    @abc.abstractmethod
    def require_end(self) -> None:
        """Raise `InvalidArgumentError` if the data are known to be infinite."""


def count_samples(x: Any, y: Any, where: str = "") -> int:
    """Return the number of samples, which all inputs and targets share.

    Args:
        x: Inputs: an array, or a list or dict of arrays.
        y: Targets, in one of the same forms, or `None`.
        where: Where they come from, for the error message, such as `" in item 3 of the data"`.

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
