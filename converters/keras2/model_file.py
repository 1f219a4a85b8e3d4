"""Load a Keras model from a `.keras` file."""

import importlib
import io
import math
import os
import zipfile

from keras_compress.converters.keras2 import allowed_objects, model_config
from keras_compress.errors import InvalidArgumentError
from keras_compress.support import archives, hdf5_files
from keras_compress.tflite import file_kind

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
# Settings whose product is a lower limit of a layer's number of weights.
_WEIGHT_COUNTS = (("units",), ("filters",), ("input_dim", "output_dim"))
# 4-bit weights take half a byte each.
_WEIGHTS_PER_BYTE = 2


def load(model, compile=False, safe_mode=True, custom_objects=None):
    """Load a model from a path; return a model unchanged.

    In safe mode, the default, the file may name no object but those of `allowed_objects`.

    Args:
        model: A `keras.Model`, or the path of a `.keras` file.
        compile: Whether to compile the model as it was saved.
        safe_mode: Whether to refuse objects that can run code or read other files.
        custom_objects: Dict from name to class of the user's own layers.

    Returns:
        The model; anything that is not a path is returned unchanged.

    Raises:
        InvalidArgumentError: Not a `.keras` file, or one that cannot be loaded.
    """
    if not isinstance(model, str | os.PathLike):
        return model
    path = os.fspath(model)
    config = check(path)
    import keras

    # The file may name classes of this package.
    importlib.import_module("keras_compress.serialization")
    if safe_mode:
        if not compile and isinstance(config, dict):
            # Keras leaves it alone.
            config.pop("compile_config", None)
        allowed_objects.check(config, f"the .keras file {path!r}", custom_objects)
    try:
        return keras.models.load_model(
            path, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode
        )
    except Exception as error:
        # Keras raises errors of any type on a bad file.
        raise InvalidArgumentError(
            f"The .keras file cannot be loaded: {_one_line(error)[:300]} "
            f"Received: {path!r}, {file_kind.describe_path(path)}"
        ) from error


def check(path):
    """Refuse a file that is not a `.keras` file, or whose layers need more weights than it holds.

    Args:
        path: The file.

    Returns:
        The configuration in the file.

    Raises:
        InvalidArgumentError: Not a `.keras` file, a damaged one, one whose weights are in another
            file, or one that would take far more memory than its size suggests.
    """
    if not os.fspath(path).endswith(".keras") or not os.path.isfile(path):
        raise InvalidArgumentError(
            "A model must be a keras.Model or the path of a .keras file. "
            f"Received: {path!r}, {file_kind.describe_path(path)}"
        )
    sizes = archives.check(path)
    if not {_CONFIG, _WEIGHTS} <= set(sizes):
        raise InvalidArgumentError(
            f"A .keras file holds {_CONFIG} and {_WEIGHTS}, as model.save(path) writes it. "
            f"Received: {path!r}, {file_kind.describe_path(path)}"
        )
    origin = f"the .keras file {path!r}"
    model_config.check_size(sizes[_CONFIG], os.path.getsize(path), origin)
    config = model_config.parse(_member(path, _CONFIG), origin)
    largest = largest_layer(config)
    if largest > _WEIGHTS_PER_BYTE * sizes[_WEIGHTS]:
        raise InvalidArgumentError(
            f"The .keras file describes a layer with at least {largest:,} weights. "
            f"Received: {path!r}, whose weights take {sizes[_WEIGHTS]:,} bytes"
        )
    hdf5_files.check_stream(io.BytesIO(_member(path, _WEIGHTS)), sizes[_WEIGHTS], origin)
    return config


def _member(path, name):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except Exception as error:
        # zipfile and zlib raise errors of any type on bad bytes.
        raise InvalidArgumentError(
            f"The .keras file cannot be loaded: {_one_line(error)} Received: {path!r}"
        ) from error


def largest_layer(config):
    """Return a lower limit of the number of weights in a configuration's largest layer.

    Args:
        config: A model's configuration.
    """
    return max(_weight_counts(config), default=0)


def _weight_counts(value):
    """Yield lower limits of the numbers of weights of a configuration's layers."""
    if isinstance(value, list):
        for entry in value:
            yield from _weight_counts(entry)
    if isinstance(value, dict):
        for names in _WEIGHT_COUNTS:
            counts = [value.get(name) for name in names]
            if all(isinstance(count, int) for count in counts):
                yield math.prod(counts)
        for entry in value.values():
            yield from _weight_counts(entry)


def _one_line(error):
    return " ".join(str(error).split())
