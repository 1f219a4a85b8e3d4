"""Load the Keras models that verbs take."""

import contextlib
import os
import sys

from keras_compress.converters import keras2
from keras_compress.converters.keras2 import model_file


def import_keras():
    """Import Keras without the messages that TensorFlow's libraries print while they load.

    Returns:
        The module `keras`.
    """
    with _silent_stderr():
        import keras

        keras.ops.zeros(())
    return keras


@contextlib.contextmanager
def _silent_stderr():
    """Redirect the descriptor itself, which the libraries write to."""
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
    """Load the model at a path, uncompiled.

    Args:
        path: A `.keras` or `.h5` file, or a SavedModel folder of Keras 2.

    Returns:
        A `keras.Model`.

    Raises:
        InvalidArgumentError: No model, or one that cannot be loaded.
    """
    if path.endswith(".keras"):
        model_file.check(path)
    import_keras()
    return keras2.load_model(path, compile=False)
