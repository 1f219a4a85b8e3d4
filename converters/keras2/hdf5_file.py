"""Read Keras 2 models in HDF5 files as data, and write them for Keras 3 to load."""

import json
import os

from keras_compress.converters.keras2 import model_config
from keras_compress.converters.keras2.keras2_model import Keras2Model
from keras_compress.errors import InvalidArgumentError
from keras_compress.support import hdf5_files

_KERAS2 = "2.15.0"
_CONFIG, _GROUP = "model_config", "model_weights"


def read(path):
    """Read a model's configuration and weights; no code is run.

    Args:
        path: An HDF5 file written by `model.save("name.h5")` in Keras 2.

    Returns:
        A `Keras2Model`.

    Raises:
        InvalidArgumentError: The file holds only weights, is another HDF5 file, or is damaged.
    """
    with hdf5_files.opened(path) as file:
        return _read(file, path)


def _read(file, path):
    origin = f"the .h5 file {path!r}"
    config = file.attrs.get(_CONFIG)
    if config is None:
        kind = "only weights" if "layer_names" in file.attrs or "layers" in file else "other data"
        raise InvalidArgumentError(
            "An .h5 file must hold a whole model, as model.save(path) writes it. If it holds only "
            "weights, build the model, call model.load_weights(path), and pass that model. "
            f"Received: {path!r}, an HDF5 file that holds {kind}"
        )
    group = file[_GROUP]
    seen: set = set()
    weights = {
        name: _weights(_once(group, name, seen), seen) for name in _names(group, "layer_names")
    }
    top = group.get("top_level_model_weights")
    return Keras2Model(
        config=model_config.parse(_text(config), origin, os.path.getsize(path)),
        weights=weights,
        origin=origin,
        top_level=() if top is None else tuple(_weights(top, seen)),
    )


def _weights(group, seen):
    return [(name, _once(group, name, seen)[()]) for name in _names(group, "weight_names")]


def _once(group, name, seen):
    """Return what a name stands for, if it has not been read before."""
    item = group[name]
    # Of a group, a dataset and a file, h5py hashes the place in the file.
    if item in seen:
        raise InvalidArgumentError(
            "An .h5 file must list each layer and each weight once. "
            f"Received: {name[:80]!r} again, in {group.file.filename!r}"
        )
    seen.add(item)
    return item


def _names(group, attribute):
    """Return the names in an attribute, or in the several that a long list is split across."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names, number = [], 0
    while f"{attribute}{number}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{number}"]]
        number += 1
    return names


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def write(source, path, of_keras2=False):
    """Write a model as the HDF5 file that Keras 3 reads.

    Args:
        source: A `Keras2Model`.
        path: The file.
        of_keras2: Whether Keras 2 is to read it, which takes files without a version for those of
            Keras 1.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs[_CONFIG] = json.dumps(source.config)
        group = file.create_group(_GROUP)
        if of_keras2:
            group.attrs["keras_version"], group.attrs["backend"] = _KERAS2, "tensorflow"
        _set_names(group, "layer_names", source.weights)
        for name, weights in source.weights.items():
            _write_weights(group.create_group(name), weights)
        _write_weights(group.create_group("top_level_model_weights"), source.top_level)


def _write_weights(group, weights):
    # The names are for people; Keras 3 reads the weights in order.
    names = [f"{index}:{name.replace('/', '.')}" for index, (name, _) in enumerate(weights)]
    _set_names(group, "weight_names", names)
    for name, (_, array) in zip(names, weights, strict=True):
        group.create_dataset(name, data=array)


def _set_names(group, attribute, names):
    """Split names across attributes where they exceed HDF5's limit of 64 kB, as Keras does."""
    encoded = [name.encode() for name in names]
    total = sum(map(len, encoded)) + 64 * len(encoded)
    if total < 60_000:
        group.attrs[attribute] = encoded or []
        return
    size = max(1, 30_000 // max(map(len, encoded)))
    for number, start in enumerate(range(0, len(encoded), size)):
        group.attrs[f"{attribute}{number}"] = encoded[start : start + size]
