"""The data that fine-tuning sees, in whatever form `fit` takes."""

import math

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError


class TrainingData:
    """Samples for `fit`, for scoring and for calibration.

    A function is called once here, for what is counted and sampled, and once for every training:
    it may read and decode files, and what it makes may be large.

    Args:
        train: `(x, y)` arrays, a `keras.utils.PyDataset`, a `tf.data.Dataset` of batches, or a
            function without arguments that makes one of these anew for every training.
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
                "train must be (x, y) arrays, a PyDataset, a tf.data.Dataset of batches, or a "
                f"function that makes one. Received: an object of type {type(made).__name__}"
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
        self._samples = self._first(made, kept)

    def fit_arguments(self):
        """Return the arguments of `fit` that name the data."""
        made = self._made()
        if self.is_arrays:
            return {"x": made[0], "y": made[1], "batch_size": self._batch_size}
        return {"x": made}

    def samples(self, count):
        """Return the first samples as `(x, y)` arrays, at most `count` and what was kept."""
        return keras.tree.map_structure(lambda array: array[:count], self._samples)

    def _first(self, made, count):
        if self.is_arrays:
            # Copied: a view would keep all of them.
            return keras.tree.map_structure(lambda array: np.array(array[:count]), tuple(made))
        batches, found = [], 0
        for batch in (made[k] for k in range(len(made))) if _indexed(made) else made:
            batches.append(keras.tree.map_structure(np.asarray, tuple(batch)[:2]))
            found += len(keras.tree.flatten(batches[-1])[0])
            if found >= count:
                break
        return keras.tree.map_structure(lambda *a: np.concatenate(a)[:count], *batches)

    def _made(self):
        callable_only = callable(self._train) and not hasattr(self._train, "__len__")
        return self._train() if callable_only else self._train


def _indexed(made):
    return isinstance(made, keras.utils.PyDataset)
