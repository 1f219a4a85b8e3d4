"""Read Keras 2 models in HDF5 files as data, and write them for Keras 3 to load."""

import json
import os

from keras_compress.converters.keras2.keras2_model import Keras2Model
from keras_compress.errors import InvalidArgumentError

# Weights hardly shrink when they are compressed, unless they are zero.
_LARGEST_EXPANSION = 100
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
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        reason = " ".join(str(error).split())
        raise InvalidArgumentError(
            f"The HDF5 file is damaged or not a Keras model: {reason} Received: {path!r}"
        ) from error


def _read(file, path):
    config = file.attrs.get(_CONFIG)
    if config is None:
        kind = "only weights" if "layer_names" in file.attrs or "layers" in file else "other data"
        raise InvalidArgumentError(
            "An .h5 file must hold a whole model, as model.save(path) writes it. If it holds only "
            "weights, build the model, call model.load_weights(path), and pass that model. "
            f"Received: {path!r}, an HDF5 file that holds {kind}"
        )
    group = file[_GROUP]
    _check_size(group, os.path.getsize(path), path)
    weights = {name: _weights(group[name]) for name in _names(group, "layer_names")}
    top = group.get("top_level_model_weights")
    return Keras2Model(
        config=json.loads(_text(config)),
        weights=weights,
        origin=f"the .h5 file {path!r}",
        top_level=() if top is None else tuple(_weights(top)),
    )


def _check_size(group, size, path):
    """Refuse more weights than the file can hold: HDF5 reads zeros where none were written."""
    sizes = []
    group.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    if sum(sizes) > _LARGEST_EXPANSION * size:
        raise InvalidArgumentError(
            f"The weights of the HDF5 file would take {sum(sizes):,} bytes. "
            f"Received: {path!r} of {size:,} bytes"
        )


def _weights(group):
    return [(name, group[name][()]) for name in _names(group, "weight_names")]


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


def write(source, path):
    """Write a model as the HDF5 file that Keras 3 reads.

    Args:
        source: A `Keras2Model`.
        path: The file.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs[_CONFIG] = json.dumps(source.config)
        group = file.create_group(_GROUP)
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
