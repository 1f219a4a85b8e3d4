"""Load the Keras models that verbs take."""

import contextlib
import os
import sys
import zipfile

from keras_compress.errors import InvalidArgumentError


def import_keras():
    """Import Keras without what TensorFlow's libraries say of the machine while they load.

    Returns:
        The module `keras`.
    """
    with _silent_stderr():
        import keras

        keras.ops.zeros(())
    return keras


@contextlib.contextmanager
def _silent_stderr():
    """Libraries write to the descriptor itself, so that is what has to be turned away."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


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
    keras = import_keras()
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidArgumentError(f"{path} cannot be loaded as a Keras model: {error}") from error
