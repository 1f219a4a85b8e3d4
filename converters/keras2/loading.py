"""Load any supported model: `.keras`, `.h5`, SavedModel, `tf_keras` and tfmot."""

import dataclasses
import importlib
import os
import tempfile
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_compress.converters.keras2 import (
    allowed_objects,
    hdf5_file,
    keras2_config,
    keras2_file,
    model_file,
    refusals,
    saved_model,
    tf_keras_process,
    tf_keras_source,
    tfmot_wrappers,
)
from keras_compress.errors import InvalidArgumentError, UnsupportedModelError

if TYPE_CHECKING:
    import keras
    import tf_keras

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_model(
    model: "keras.Model | tf_keras.Model | str | os.PathLike",
    compile: bool = True,
    *,
    safe_mode: bool = True,
    custom_objects: Mapping[str, Any] | None = None,
    compare: bool = False,
) -> "keras.Model":
    """Load a Keras 3 model from a file of Keras 2 or 3, or from a `tf_keras` model.

    The source is a `.keras` file of any Keras backend, or of Keras 2; a Keras 2 or 3 `.h5` file; a
    SavedModel folder that Keras 2 wrote; or a live `tf_keras` model. Configuration and weights are
    read as data and the model is rebuilt, so that neither `tf_keras` nor
    tensorflow-model-optimization has to be installed (except for a `.keras` file of the latter).

    Models that tensorflow-model-optimization has pruned, clustered or prepared for quantization
    are returned as compressed models with their masks, shared values and ranges.

    Args:
        model: A path, or a model. A Keras 3 model is returned unchanged.
        compile: Whether to compile the model as it was when it was saved, including the
            optimizer; only for `.keras` files of Keras 3. Default true.
        safe_mode: Whether to refuse files that name objects which can run code or read other
            files: `Lambda`, `TFSMLayer`, classes and functions that are neither Keras' nor
            registered or passed by you, a vocabulary that is the path of a file. Default true.
            `False` is for files that you trust: loading one runs whatever is in it.
        custom_objects: Dict from name to class of your own layers, written for Keras 3.
        compare: Whether to compare the model with its source on random inputs, run by `tf_keras`
            in a child process, and to raise an error if their outputs differ. Takes some seconds.
            In safe mode the source is what was read of it as data: a SavedModel's TensorFlow
            functions, which could write files, are not run.

    Returns:
        A `keras.Model`, plain or compressed.

    Raises:
        InvalidArgumentError: There is no model, it is damaged, or it contains code; the message
            says what was received and what to do.
        UnsupportedModelError: The model is subclassed, or Keras 3 has no counterpart of a layer.
        MissingPackageError: A `.keras` file of tfmot, or `compare`, without `tf_keras`.

    Example:
        >>> load_model("mobilenet.h5")  # doctest: +SKIP
    """
    if not isinstance(model, str | os.PathLike):
        if _is_keras2(model):
            return _load_live(model, safe_mode, custom_objects, compare)
        return model
    path = os.fspath(model)
    if path.endswith(".keras") and os.path.isfile(path):
        return _load_keras_file(path, compile, safe_mode, custom_objects, compare)
    source = _read(path)
    loaded, taken = _rebuild(source, safe_mode, custom_objects)
    if compare:
        _compare(loaded, path, source if safe_mode else None, custom_objects, exact=not taken)
    return loaded


def _compare(loaded, path, source, custom_objects, exact):
    """Compare with the file at a path or, in safe mode, with a copy of what was read of it."""
    if source is None:
        tf_keras_process.compare(loaded, path, exact)
        return
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        copy = tf_keras_source.write(source, folder, custom_objects)
        tf_keras_process.compare(loaded, copy, exact, origin=path)


def _is_keras2(model):
    return any(kind.__module__.startswith("tf_keras.") for kind in type(model).__mro__)


def _load_keras_file(path, compile, safe_mode, custom_objects, compare):
    if not keras2_file.version(path).startswith("2."):
        return model_file.load(path, compile, safe_mode, custom_objects)
    config, taken = model_file.check(path), None
    if tfmot_wrappers.has_wrappers(config):
        source = _taken_apart(path, config, safe_mode, custom_objects)
        loaded, taken = _rebuild(source, safe_mode, custom_objects)
    else:
        loaded = keras2_file.load(
            path,
            config,
            lambda copy: model_file.load(copy, False, safe_mode, custom_objects),
            safe_mode,
            custom_objects,
        )
    if compare:
        whole = (path, config) if safe_mode else None
        _compare(loaded, path, whole, custom_objects, exact=not taken)
    return loaded


def _taken_apart(path, config, safe_mode, custom_objects):
    """Return the `Keras2Model` of a `.keras` file with wrappers, which tf_keras must build."""
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        source = path
        if safe_mode:
            source = tf_keras_source.write((path, config), folder, custom_objects)
        copy = os.path.join(folder, "model.h5")
        tf_keras_process.save_as_h5(source, copy, origin=path)
        return hdf5_file.read(copy)


def _read(path):
    """Return the `Keras2Model` of an HDF5 file or a SavedModel folder."""
    if os.path.isdir(path) and os.path.isfile(os.path.join(path, "saved_model.pb")):
        return saved_model.read(path)
    if os.path.isfile(path):
        with open(path, "rb") as file:
            start = file.read(len(_HDF5))
        if start == _HDF5:
            return hdf5_file.read(path)
    refusals.refuse(path)


def _load_live(model, safe_mode, custom_objects, compare):
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        path = os.path.join(folder, "model.h5")
        try:
            with warnings.catch_warnings():
                # Keras 2 warns that HDF5 is the older format.
                warnings.simplefilter("ignore")
                model.save(path, include_optimizer=False, save_format="h5")
        except NotImplementedError as error:
            raise UnsupportedModelError(
                "A subclassed tf_keras model has no graph of layers that could be rebuilt. Write "
                f"it as a functional model. Received: {type(model).__name__}"
            ) from error
        source = hdf5_file.read(path)
        loaded, taken = _rebuild(source, safe_mode, custom_objects)
        if compare:
            tf_keras_process.compare(loaded, path, exact=not taken)
    return loaded


def _rebuild(source, safe_mode, custom_objects):
    """Return the Keras 3 model, and the masks, values and ranges of tfmot's wrappers."""
    taken = None
    if tfmot_wrappers.has_wrappers(source.config):
        source, taken = tfmot_wrappers.strip(source)
    config = keras2_config.translate(source.config, source.origin, safe_mode, custom_objects)
    _check_size(config, source)
    if safe_mode:
        # The file may name classes of this package.
        importlib.import_module("keras_compress.serialization")
        allowed_objects.check(config, source.origin, custom_objects)
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        path = os.path.join(folder, "model.h5")
        hdf5_file.write(dataclasses.replace(source, config=config), path)
        model = _load(path, source.origin, safe_mode, custom_objects)
    if not taken:
        return model, taken
    from keras_compress.converters.keras2 import tfmot_takeover

    return tfmot_takeover.take_over(model, taken), taken


def _check_size(config, source):
    """Refuse a configuration whose layers would allocate more weights than were saved."""
    largest = model_file.largest_layer(config)
    arrays = [array for weights in source.weights.values() for _, array in weights]
    if largest > sum(array.size for array in arrays):
        raise InvalidArgumentError(
            f"The configuration describes a layer with at least {largest:,} weights, more than "
            f"were saved. Received: {source.origin}"
        )


def _load(path, origin, safe_mode, custom_objects):
    import keras

    try:
        return keras.models.load_model(
            path, custom_objects=custom_objects, compile=False, safe_mode=safe_mode
        )
    except Exception as error:
        # Keras raises errors of any type on a bad configuration.
        reason = " ".join(str(error).split("Exception encountered:")[-1].split())[:600]
        raise InvalidArgumentError(
            f"Keras 3 cannot rebuild the model: {reason} Pass layers of your own as "
            f"kc.load_model(path, custom_objects={{name: class}}). Received: {origin}"
        ) from error
