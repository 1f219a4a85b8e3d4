"""A model file cannot make the package read another file."""

import h5py
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from tests.security import hostile_files as hostile

keras = pytest.importorskip("keras")


def external_storage(file, secret):
    file.create_dataset("odd", (16,), "u1", external=[(str(secret), 0, 16)])


def external_link(file, secret):
    file["odd"] = h5py.ExternalLink(str(secret), "/kernel")


def soft_link(file, secret):
    file["odd"] = h5py.SoftLink("/elsewhere")


def virtual_dataset(file, secret):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "kernel", (4,))
    file.create_virtual_dataset("odd", layout)


def unusual_filter(file, secret):
    file.create_dataset("odd", data=np.zeros(100), compression="lzf")


def references(file, secret):
    file.create_dataset("odd", data=np.array([file.ref], h5py.ref_dtype), dtype=h5py.ref_dtype)


WAYS = [
    external_storage,
    external_link,
    soft_link,
    virtual_dataset,
    unusual_filter,
    references,
]


@pytest.fixture
def secret(tmp_path):
    with h5py.File(tmp_path / "secret", "w") as file:
        file["kernel"] = np.ones(4, "f4")
    return tmp_path / "secret"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_in_another_file_are_refused(ending, way, secret, tmp_path):
    write = hostile.write_keras if ending == "keras" else hostile.write_h5
    path = write(
        tmp_path / f"model.{ending}",
        hostile.sequential(hostile.dense()),
        weights=lambda file: way(file, secret),
    )
    with pytest.raises(InvalidArgumentError, match="holds all of its values itself.*'odd'"):
        kc.load_model(path)


@pytest.mark.parametrize("name", ["StringLookup", "IntegerLookup", "TextVectorization"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_vocabulary_is_not_read_from_another_file(ending, name, tmp_path):
    (tmp_path / "secret").write_text("7\n8\n")
    odd = hostile.layer("keras.layers", name, vocabulary=str(tmp_path / "secret"))
    path = hostile.write(ending, tmp_path, hostile.sequential(odd))
    with pytest.raises(InvalidArgumentError, match=f"vocabulary itself: {name}.*safe_mode.*'odd'"):
        kc.load_model(path)


def test_a_vocabulary_in_the_file_is_loaded(tmp_path):
    layer = keras.layers.StringLookup(vocabulary=["a", "b"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    model.save(tmp_path / "model.keras")
    assert kc.load_model(tmp_path / "model.keras").layers[-1].get_vocabulary()[1:] == ["a", "b"]
