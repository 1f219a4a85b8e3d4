"""Split data into training and validation sets."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.data.source import count_samples
from keras_compress.data.structure import map_leaves, to_numpy
from keras_compress.errors import InvalidArgumentError


def split_data(
    data: Any, inputs: Sequence[InputSpec] | None, share: float = 0.2, seed: int = 0
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Read all data and split them at random.

    Args:
        data: Samples with targets in any form that `reading.read` accepts.
        inputs: `InputSpec` of each input of the model; `None` for arrays as for `fit`.
        share: Fraction of the samples for validation.
        seed: Seed of the random split.

    Returns:
        Tuple ((x, y), (x, y)): to train and to validate.

    Raises:
        InvalidArgumentError: The data cannot be read, or as for `split`.
    """
    return split(*read(data, inputs).whole(), share, seed)


def split(
    x: Any, y: Any, share: float = 0.2, seed: int = 0
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Split arrays at random.

    Args:
        x: An array, or a list or dict of arrays.
        y: Targets, one for each sample, in one of these forms.
        share: Fraction of the samples for validation.
        seed: Seed of the random split.

    Returns:
        Tuple ((x, y), (x, y)): to train and to validate.

    Raises:
        InvalidArgumentError: There are fewer than two samples, or not one target for each.
    """
    count = count_samples(x, y)
    if y is None or count < 2:
        raise InvalidArgumentError(
            "At least two samples with one target each are needed. "
            f"Received: {count} samples and {'no' if y is None else count} targets"
        )
    order = np.random.default_rng(seed).permutation(count)
    cut = min(max(1, round(share * count)), count - 1)

    def part(rows):
        return tuple(map_leaves(lambda array: to_numpy(array)[rows], whole) for whole in (x, y))

    return part(np.sort(order[cut:])), part(np.sort(order[:cut]))
