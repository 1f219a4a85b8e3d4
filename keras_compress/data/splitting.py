"""Keep a part of the data for validation."""

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError


def split(x, y, share=0.2, seed=0):
    """Split arrays at random.

    Args:
        x: An array, or a dict of arrays.
        y: Labels, one for each sample.
        share: Share of the samples for validation.
        seed: Of the draw.

    Returns:
        Tuple ((x, y), (x, y)): to train and to validate.

    Raises:
        InvalidArgumentError: Fewer than two samples, or labels of another number.
    """
    count = len(keras.tree.flatten(x)[0])
    if y is None or len(y) != count or count < 2:
        raise InvalidArgumentError(
            "At least two samples with one label each are wanted. "
            f"Received: {count} samples and {'no' if y is None else len(y)} labels"
        )
    order = np.random.default_rng(seed).permutation(count)
    cut = min(max(1, round(share * count)), count - 1)

    def part(places):
        return keras.tree.map_structure(lambda array: np.asarray(array)[places], (x, y))

    return part(np.sort(order[cut:])), part(np.sort(order[:cut]))
