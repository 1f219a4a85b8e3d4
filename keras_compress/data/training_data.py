"""The data for fine-tuning, in any form that `fit` takes."""

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
        train: As for `TrainingData`, or the path of an `.npz` file or of a folder of images.
        inputs: `InputSpec` of each input of the model.

    Raises:
        InvalidArgumentError: There are no data at a path, or they have no targets.
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

    A function is called once here, to count and sample the data, and once for every training run:
    it may read and decode files, and its data may be large.

    Args:
        train: `(x, y)` arrays, a `keras.utils.PyDataset`, a `tf.data.Dataset` of batches, a torch
            `DataLoader`, or a function without arguments that creates one of these for every
            training run.
        batch_size: Samples per batch, if the data are arrays.
        kept: Number of samples to keep for `samples`.

    Raises:
        InvalidArgumentError: The data have another form, or are infinite.
    """

    def __init__(self, train, batch_size, kept):
        self._train, self._batch_size = train, batch_size
        data = self._data()
        self.is_arrays = isinstance(data, tuple | list) and len(data) == 2
        if not self.is_arrays and (isinstance(data, str) or not hasattr(data, "__len__")):
            raise InvalidArgumentError(
                "train must be data that fit can iterate over repeatedly and whose batches can be "
                "counted: (x, y) arrays, a PyDataset, a tf.data.Dataset of batches, a torch "
                "DataLoader, the path of an .npz file or of a folder of images, or a function that "
                f"creates one. Received: an object of type {type(data).__name__}"
            )
        try:
            count = len(keras.tree.flatten(data[0])[0]) if self.is_arrays else len(data)
        except TypeError as error:
            raise InvalidArgumentError(
                f"train must be finite, so that its batches can be counted: {error}"
            ) from error
        self.steps = math.ceil(count / batch_size) if self.is_arrays else count
        if not self.steps:
            raise InvalidArgumentError("train must have at least one batch. Received: none")
        self._samples = read(tuple(data) if self.is_arrays else data, None).first(kept)

    def fit_arguments(self):
        """Return the arguments of `fit` for the data."""
        data = self._data()
        if self.is_arrays:
            return {"x": data[0], "y": data[1], "batch_size": self._batch_size}
        return {"x": data}

    def samples(self, count):
        """Return the first samples as `(x, y)` arrays, at most `count` and at most `kept`."""
        return tuple(map_leaves(lambda array: array[:count], part) for part in self._samples)

    def _data(self):
        return self._train() if is_function(self._train) else self._train
