"""Read the `.npz` files that verbs take: `x`, or one array for each input, and `y`."""

import zipfile

import numpy as np

from keras_compress.errors import InvalidArgumentError


def load_arrays(path):
    """Read an `.npz` file.

    Args:
        path: File with `x`, or one array for each input name, and, for evaluation, `y`.

    Returns:
        Tuple (inputs, labels): an array or a dict of arrays, and an array or `None`.

    Raises:
        InvalidArgumentError: Not an `.npz` of plain arrays, or one without inputs.
    """
    try:
        # np.load leaves a file open that it cannot read; one opened here is closed here.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise InvalidArgumentError(
            "An .npz file of plain arrays is wanted, as numpy.savez(path, x=..., y=...) writes "
            f"it. Received: {path} ({error})"
        ) from error
    labels = arrays.pop("y", None)
    if not arrays:
        raise InvalidArgumentError(
            "The .npz file must hold x, or one array for each input. "
            f"Received: {path} with {'y alone' if labels is not None else 'no array'}"
        )
    return arrays.get("x") if set(arrays) == {"x"} else arrays, labels
