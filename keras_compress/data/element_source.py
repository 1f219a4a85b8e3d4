"""A source of samples in an iterable of samples or batches."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_compress.data.element import Element, read_element
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.source import Source
from keras_compress.data.structure import map_leaves
from keras_compress.errors import InvalidArgumentError


class ElementSource(Source):
    """The elements of an iterable, each one sample or one batch of samples.

    Args:
        elements: Iterable; see `read_element` for the forms of an element.
        inputs: `InputSpec` of each input; `None` if elements are batches as for `fit`.
        endless: Whether the iterable is known to be infinite.
        targets: Whether to read targets; otherwise they may be anything.
    """

    def __init__(
        self,
        elements: Iterable,
        inputs: Sequence[InputSpec] | None,
        endless: bool = False,
        targets: bool = True,
    ):
        self._elements, self._inputs = elements, inputs
        self._endless, self._targets = endless, targets

    def inputs_only(self) -> Source:
        """Return a source of the inputs of the same elements."""
        return ElementSource(self._elements, self._inputs, self._endless, targets=False)

    def batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Yield batches unchanged; single samples are combined into batches."""
        samples: list[Element] = []
        for element in self._read():
            if element.is_batch:
                yield from _joined(samples)
                samples = []
                yield element.x, element.y
                continue
            samples.append(element)
            if len(samples) == batch_size:
                yield from _joined(samples)
                samples = []
        yield from _joined(samples)

    def first(self, count: int) -> tuple[Any, Any]:
        """Return the first samples, and read no element after them."""
        return self._gather(count)

    def spread(self, count: int) -> tuple[Any, Any]:
        """Return the first samples, because the number of samples is not known."""
        return self._gather(count)

    def whole(self) -> tuple[Any, Any]:
        """Return all samples, concatenated in memory."""
        self.require_end()
        return self._gather(sys.maxsize)

    def require_end(self) -> None:
        """Raise `InvalidArgumentError` for a dataset that repeats forever."""
        if self._endless:
            raise InvalidArgumentError(
                "All samples are read here, so the dataset must be finite: use "
                "dataset.take(number_of_batches), and no repeat(). "
                "Received: an infinite dataset"
            )

    def _read(self):
        for position, value in enumerate(self._elements):
            yield read_element(value, self._inputs, position, self._targets)

    def _gather(self, count):
        elements, total = [], 0
        for element in self._read():
            elements.append(element.head(count - total))
            total += elements[-1].count
            if total >= count:
                break
        if not total:
            raise InvalidArgumentError(
                "The data must have at least one sample. Received: no sample (if this is a "
                "generator that was already consumed, pass the function that creates it)"
            )
        return next(_joined(elements))


def _joined(elements: list[Element]):
    """Yield the elements as one (x, y), or nothing if there are none."""
    if not elements:
        return
    try:
        x = map_leaves(_concatenate, *(element.x for element in elements))
        y = map_leaves(_concatenate, *(element.y for element in elements))
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidArgumentError(
            "All elements of the data must have arrays of the same names and shapes, so that they "
            f"can be concatenated. Received: elements that differ ({error})"
        ) from error
    yield x, y


def _concatenate(*arrays):
    return np.concatenate(arrays)
