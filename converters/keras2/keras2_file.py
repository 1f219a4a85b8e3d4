"""Load `.keras` files written by Keras 2: only their configuration differs from Keras 3's."""

import json
import os
import tempfile
import zipfile

from keras_compress.converters.keras2 import keras2_config, tf_keras_source

_METADATA = "metadata.json"


def version(path):
    """Return the version of Keras that wrote a `.keras` file.

    Args:
        path: A file.

    Returns:
        A string; empty if the file does not say.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read(_METADATA)).get("keras_version", ""))
    except Exception:
        # zipfile, zlib and json raise errors of any type on bad bytes; Keras explains it better.
        return ""


def load(path, config, load_keras3, safe_mode=True, custom_objects=None):
    """Load a Keras 2 file through a temporary copy that Keras 3 can read.

    Args:
        path: A `.keras` file.
        config: Its configuration.
        load_keras3: Function that loads the `.keras` file at a path.
        safe_mode: Whether to refuse Lambda layers.
        custom_objects: Name -> class of the user's own layers.

    Returns:
        What `load_keras3` returns.
    """
    config = keras2_config.translate(config, f"the .keras file {path!r}", safe_mode, custom_objects)
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        copy = os.path.join(folder, "model.keras")
        tf_keras_source.write_keras(path, config, copy)
        return load_keras3(copy)
