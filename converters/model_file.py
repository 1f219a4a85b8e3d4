"""Load the Keras model that a path or an object stands for."""

import os

from keras_compress.converters import file_kind
from keras_compress.errors import InvalidArgumentError


def load(model):
    """Return a model, loaded from its file where a path is given.

    Args:
        model: A `keras.Model`, or the path of a `.keras` file.

    Returns:
        The model; what is no path is handed back as it is.

    Raises:
        InvalidArgumentError: No `.keras` file, or one that cannot be loaded.
    """
    if not isinstance(model, str | os.PathLike):
        return model
    import keras

    path = os.fspath(model)
    if not path.endswith(".keras") or not os.path.isfile(path):
        raise InvalidArgumentError(
            "A model is given as a keras.Model or as the path of a .keras file. "
            f"Received: {path!r}, {file_kind.describe_path(path)}"
        )
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        # Keras raises whatever the bytes of a file lead it to.
        raise InvalidArgumentError(
            f"The .keras file cannot be loaded: {str(error).strip()} "
            f"Received: {path!r}, {file_kind.describe_path(path)}"
        ) from error
