"""The type of what users have as samples."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

# An array of samples (n_samples, *shape), a list or dict of arrays for several inputs, a tuple
# (x, y) of these, an iterable of samples or batches (a generator, `tf.data.Dataset`,
# `keras.utils.PyDataset`, torch `DataLoader`), a function that returns one of these, or a path.
Samples: TypeAlias = (
    ArrayLike
    | Sequence[ArrayLike]
    | Mapping[str, ArrayLike]
    | Iterable[Any]
    | Callable[[], Any]
    | str
    | os.PathLike[str]
)
