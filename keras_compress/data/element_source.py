"""Anything that yields samples or batches as a source."""

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
        elements: Iterable; `read_element` says what an element may be.
        inputs: `InputSpec` of each input; `None` where elements are batches as for `fit`.
        endless: Whether it is known that there is no last element.
        targets: Whether targets are read; else they may be anything.
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
        """Yield batches as they come; single samples are put together into batches."""
        waiting: list[Element] = []
        for element in self._read():
            if element.is_batch:
                yield from _joined(waiting)
                waiting = []
                yield element.x, element.y
                continue
            waiting.append(element)
            if len(waiting) == batch_size:
                yield from _joined(waiting)
                waiting = []
        yield from _joined(waiting)

    def first(self, count: int) -> tuple[Any, Any]:
        """Return the first samples, and read no element behind them."""
        return self._gather(count)

    def spread(self, count: int) -> tuple[Any, Any]:
        """Return the first samples: how many there are is not known."""
        return self._gather(count)

    def whole(self) -> tuple[Any, Any]:
        """Return all samples, put together in memory."""
        self.require_end()
        return self._gather(sys.maxsize)

    def require_end(self) -> None:
        """Raise `InvalidArgumentError` for a dataset that repeats for ever."""
        if self._endless:
            raise InvalidArgumentError(
                "All samples are read here, so the data must end: write "
                "dataset.take(number_of_batches), and repeat() nowhere. "
                "Received: a dataset without an end"
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
                "The data must hold at least one sample. Received: no sample (has a generator "
                "been used up before? Then give the function that makes it)"
            )
        return next(_joined(elements))


def _joined(elements: list[Element]):
    """Yield the elements as one (x, y), or nothing where there are none."""
    if not elements:
        return
    try:
        x = map_leaves(_concatenate, *(element.x for element in elements))
        y = map_leaves(_concatenate, *(element.y for element in elements))
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidArgumentError(
            "All elements of the data must hold arrays of the same names and shapes, so that they "
            f"can be put together. Received: elements that differ ({error})"
        ) from error
    yield x, y


def _concatenate(*arrays):
    return np.concatenate(arrays)
