"""The data that fine-tuning sees, in whatever form `fit` takes."""

import math
import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import is_function, read
from keras_compress.data.structure import map_leaves
from keras_compress.errors import InvalidArgumentError


def as_fit_takes(train: Any, inputs: Sequence[InputSpec]) -> Any:
    """Return training data in a form that `fit` takes: paths become `(x, y)` arrays.

    Args:
        train: What `TrainingData` takes, or the path of an `.npz` file or of a folder of images.
        inputs: `InputSpec` of each input of the model.

    Raises:
        InvalidArgumentError: A path that leads to no data, or to data without targets.
    """
    if not isinstance(train, str | os.PathLike):
        return train
    x, y = read(train, inputs).whole()
    if y is None:
        raise InvalidArgumentError(
            "Training needs targets: an .npz file with y, or a folder of images with a sub-folder "
            f"for each class. Received: {os.fspath(train)!r}, which has none"
        )
    return x, y


class TrainingData:
    """Samples for `fit`, for scoring and for calibration.

    A function is called once here, for what is counted and sampled, and once for every training:
    it may read and decode files, and what it makes may be large.

    Args:
        train: `(x, y)` arrays, a `keras.utils.PyDataset`, a `tf.data.Dataset` of batches, a torch
            `DataLoader`, or a function without arguments that makes one of these anew for every
            training.
        batch_size: Samples in a batch that is cut from arrays.
        kept: Samples that are kept for `samples`.

    Raises:
        InvalidArgumentError: Another form, or a data set without an end.
    """

    def __init__(self, train, batch_size, kept):
        self._train, self._batch_size = train, batch_size
        made = self._made()
        self.is_arrays = isinstance(made, tuple | list) and len(made) == 2
        if not self.is_arrays and (isinstance(made, str) or not hasattr(made, "__len__")):
            raise InvalidArgumentError(
                "train must be something that fit can go through again and whose batches can be "
                "counted: (x, y) arrays, a PyDataset, a tf.data.Dataset of batches, a torch "
                "DataLoader, the path of an .npz file or of a folder of images, or a function that "
                f"makes one. Received: an object of type {type(made).__name__}"
            )
        try:
            count = len(keras.tree.flatten(made[0])[0]) if self.is_arrays else len(made)
        except TypeError as error:
            raise InvalidArgumentError(
                f"train must have an end, so that its batches can be counted: {error}"
            ) from error
        self.steps = math.ceil(count / batch_size) if self.is_arrays else count
        if not self.steps:
            raise InvalidArgumentError("train must hold at least one batch. Received: none")
        self._samples = read(tuple(made) if self.is_arrays else made, None).first(kept)

    def fit_arguments(self):
        """Return the arguments of `fit` that name the data."""
        made = self._made()
        if self.is_arrays:
            return {"x": made[0], "y": made[1], "batch_size": self._batch_size}
        return {"x": made}

    def samples(self, count):
        """Return the first samples as `(x, y)` arrays, at most `count` and what was kept."""
        return tuple(map_leaves(lambda array: array[:count], part) for part in self._samples)

    def _made(self):
        return self._train() if is_function(self._train) else self._train
