"""Load the Keras models that verbs take."""

import zipfile

from keras_compress.errors import InvalidArgumentError


def load_keras(path):
    """Load a `.keras` file, uncompiled.

    Args:
        path: The file.

    Returns:
        A `keras.Model`.

    Raises:
        InvalidArgumentError: Not a `.keras` file that can be loaded.
    """
    if not zipfile.is_zipfile(path):
        raise InvalidArgumentError(
            "A .keras file is wanted, as model.save(path) writes it. "
            f"Received: {path}, which is no such file"
        )
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidArgumentError(f"{path} cannot be loaded as a Keras model: {error}") from error
