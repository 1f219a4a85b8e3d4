"""Data as batches of inputs and targets that can be iterated over repeatedly."""

import itertools
from collections.abc import Sequence
from typing import Any

from keras_compress.data.array_source import ArraySource
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.errors import InvalidArgumentError


class Batches:
    """Iterates over `(x, y)` batches, the same ones each time.

    Args:
        data: Data in any form that `reading.read` accepts.
        inputs: `InputSpec` of each input of the model that they are for.
        batch_size: Samples per batch, for data that are not already batches.
        limit: Largest number of batches to use of an iterable; arrays are used in full.

    Raises:
        InvalidArgumentError: Arrays have unequal lengths, or there are no samples.

    Example:
        >>> from keras_compress.data.input_spec import InputSpec
        >>> data = (np.zeros((5, 3)), np.zeros(5))
        >>> [x.shape for x, y in Batches(data, [InputSpec("x", (3,))], batch_size=2)]
        [(2, 3), (2, 3), (1, 3)]
    """

    def __init__(
        self, data: Any, inputs: Sequence[InputSpec], batch_size: int = 64, limit: int = 64
    ):
        source = read(data, inputs)
        count = None if isinstance(source, ArraySource) else limit
        self._batches = list(itertools.islice(source.batches(batch_size), count))
        if not self._batches:
            raise InvalidArgumentError("The data must have at least one sample. Received: none")

    def __iter__(self):
        return iter(self._batches)

    def __len__(self):
        return len(self._batches)
