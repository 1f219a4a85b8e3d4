"""Copies of untrusted models that `tf_keras` can load: nothing in them is found by a module's name.

Keras 2 imports whatever module a file names, even in its safe mode. A copy names none but those of
the layers that were allowed.
"""

import copy
import dataclasses
import json
import os
import shutil
import zipfile

from keras_compress.converters.keras2 import (
    allowed_objects,
    hdf5_file,
    keras2_config,
    model_config,
    tfmot_wrappers,
)
from keras_compress.converters.keras2.keras2_model import Keras2Model
from keras_compress.errors import InvalidArgumentError

_CONFIG = "config.json"
_MODULES = ("keras", "builtins") + tuple(
    f"keras.{name}"
    for name in (
        "activations",
        "constraints",
        "dtype_policies",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "mixed_precision",
        "models",
        "optimizers",
        "optimizers.schedules",
        "regularizers",
    )
)
_MODELS = {
    "Functional": "tf_keras.src.engine.functional",
    "Model": "tf_keras.src.engine.training",
    "Sequential": "tf_keras.src.engine.sequential",
}
# Keras looks a class up in the scopes of tensorflow-model-optimization before it asks its module.
_IN_SCOPES = "keras.layers"


def checked_config(config, origin, custom_objects=None):
    """Return a configuration whose objects are allowed, with the modules that tf_keras has.

    Args:
        config: A configuration of Keras 2.
        origin: Where it was read from, for error messages.
        custom_objects: Name -> class of the caller's own layers.

    Returns:
        A new dictionary.

    Raises:
        InvalidArgumentError: As for `allowed_objects.check`, or an entry names a module that is
            not Keras'.
        UnsupportedModelError: Keras 3 has no counterpart of a layer.
    """
    config = copy.deepcopy(config)
    config.pop("compile_config", None)
    keras2_config.refuse(config, origin, True, custom_objects or {})
    models, others = [], []
    for entry, layer in model_config.entries(config):
        if entry["class_name"] in _MODELS:
            models.append(entry)
            entry["module"] = None
        elif tfmot_wrappers.is_of_tfmot(entry):
            _find_in_scopes(entry)
        else:
            others.append((entry, layer))
    for entry, layer in others:
        _check_module(entry, layer, origin)
    allowed_objects.check(config, origin, custom_objects, tfmot_wrappers.is_of_tfmot)
    for entry in models:
        entry["module"] = _MODELS[entry["class_name"]]
        entry["registered_name"] = entry["class_name"]
    return config


def _find_in_scopes(entry):
    if "module" in entry:
        entry["module"] = _IN_SCOPES
        entry["registered_name"] = entry["class_name"]


def _check_module(entry, layer, origin):
    module = entry.get("module")
    if module is not None and module not in _MODULES:
        raise InvalidArgumentError(
            "A Keras 2 file with wrappers of tensorflow-model-optimization may name modules of "
            "Keras alone. If you trust the file, call kc.load_model(path, safe_mode=False) and "
            f"pass the model it returns. Received: module {str(module)[:80]!r} in layer "
            f"{str(layer)[:80]!r} of {origin}"
        )
    if module is not None and entry["class_name"] != "function":
        entry["registered_name"] = None


def write_keras(path, config, target):
    """Copy a `.keras` file with another configuration.

    Args:
        path: A `.keras` file.
        config: The configuration of the copy.
        target: Path of the copy.
    """
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if name == _CONFIG:
                new.writestr(name, json.dumps(config))
            else:
                with old.open(name) as source, new.open(name, "w", force_zip64=True) as copied:
                    shutil.copyfileobj(source, copied)


def write(source, folder, custom_objects=None):
    """Write what tf_keras may load of an untrusted model.

    Args:
        source: A `Keras2Model`, or the pair of the path of a `.keras` file and its configuration.
        folder: An empty folder.
        custom_objects: Name -> class of the caller's own layers.

    Returns:
        The path of the copy.

    Raises:
        InvalidArgumentError: As for `checked_config`.
    """
    if isinstance(source, Keras2Model):
        target = os.path.join(folder, "source.h5")
        config = checked_config(source.config, source.origin, custom_objects)
        hdf5_file.write(dataclasses.replace(source, config=config), target, of_keras2=True)
        return target
    path, config = source
    target = os.path.join(folder, "source.keras")
    checked = checked_config(config, f"the .keras file {path!r}", custom_objects)
    write_keras(path, checked, target)
    return target
