"""Data as batches of inputs and targets that can be gone through again."""

import itertools
from collections.abc import Sequence
from typing import Any

from keras_compress.data.array_source import ArraySource
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.errors import InvalidArgumentError


class Batches:
    """Iterates over `(x, y)` batches, again and again the same ones.

    Args:
        data: Data in any form that `reading.read` takes.
        inputs: `InputSpec` of each input of the model that they are for.
        batch_size: Samples in a batch of data that do not come in batches.
        limit: At most so many batches of an iterable are used; whole arrays are used whole.

    Raises:
        InvalidArgumentError: Arrays of unequal lengths, or data without samples.

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
        most = None if isinstance(source, ArraySource) else limit
        self._batches = list(itertools.islice(source.batches(batch_size), most))
        if not self._batches:
            raise InvalidArgumentError("The data must hold at least one sample. Received: none")

    def __iter__(self):
        return iter(self._batches)

    def __len__(self):
        return len(self._batches)
