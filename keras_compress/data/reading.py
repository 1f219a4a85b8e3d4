"""Read samples in any supported form: the single entry point for data."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard

from keras_compress.data.forms import (
    arrays,
    image_folder,
    iterables,
    numpy_file,
    py_dataset,
    tf_data,
    torch_loader,
)
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.source import Source
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError

# The first form that recognizes the data reads them: the most frequent one comes first, and the
# most general one, which accepts any iterable, last.
_FORMS = (arrays, numpy_file, image_folder, tf_data, py_dataset, torch_loader, iterables)


def read(data: Samples, inputs: Sequence[InputSpec] | None) -> Source:
    """Return the samples of data in any supported form.

    Args:
        data: An array (n_samples, *shape); for several inputs a list or dict of arrays; a tuple
            (x, y) of these with targets; an iterable of samples or batches of them: a generator,
            a list, a `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch `DataLoader`; the path
            of an `.npz` or `.npy` file or of a folder of images; or a function without arguments
            that returns any of these.
        inputs: `InputSpec` of each input of the model that the data are for; `None` if they are
            batches or arrays as for `fit`.

    Returns:
        A `Source`, to be read once.

    Raises:
        InvalidArgumentError: The data have none of these forms, or a file cannot be read.

    Example:
        >>> from keras_compress.data.input_spec import InputSpec
        >>> x = np.zeros((5, 3))
        >>> source = read(lambda: ((sample, 1) for sample in x), [InputSpec("x", (3,))])
        >>> [(x.shape, y.shape) for x, y in source.batches(2)]
        [((2, 3), (2,)), ((2, 3), (2,)), ((1, 3), (1,))]
    """
    if is_function(data):
        result = data()
        if result is None or is_function(result):
            raise InvalidArgumentError(
                "A function that creates data must yield samples or return data. "
                f"Received: a function that returned {type(result).__name__}"
            )
        return read(result, inputs)
    for form in _FORMS:
        if form.recognizes(data, inputs):
            return form.read(data, inputs)
    raise _refused(data)


def is_function(data: Any) -> TypeGuard[Callable[[], Any]]:
    """Return whether data are a function that creates them, not an iterable that is callable."""
    return callable(data) and not isinstance(data, Iterable)


def _refused(data):
    if isinstance(data, str | os.PathLike):
        return InvalidArgumentError(
            "A path must lead to an .npz or .npy file, or to a folder of images. "
            f"Received: {os.fspath(data)!r}"
        )
    received = repr(data) if data is None or isinstance(data, int | float) else ""
    return InvalidArgumentError(
        "Data must be an array of samples as the model receives them in use, a list or dict of "
        "arrays, a tuple (x, y), a generator function, an iterable of samples or batches, or the "
        "path of an .npz or .npy file or of a folder of images. "
        f"Received: {received or 'an object of type ' + type(data).__name__}"
    )
