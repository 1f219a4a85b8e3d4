"""Files that would take hours, all memory or every level of the stack are refused at once."""

import contextlib
import json
import os
import signal
import zipfile

import h5py
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.data.forms.numpy_file import load_arrays
from keras_compress.errors import CompressionError, InvalidArgumentError, ProfileError
from tests.security import hostile_files as hostile

pytest.importorskip("keras")

MODEL = hostile.sequential(hostile.dense())


@contextlib.contextmanager
def alarm(seconds=30):
    """Turn what would hang for ever into a failure."""

    def fail(*_):
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_an_archive_of_many_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        for number in range(1_001):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(InvalidArgumentError, match="1,001 members, more than 1,000"):
        load_arrays(tmp_path / "data.npz")


def test_a_keras_file_of_many_members(tmp_path):
    members = [f"assets/{number}" for number in range(1_000)]
    path = hostile.write_keras(tmp_path / "model.keras", MODEL, members=members)
    with pytest.raises(InvalidArgumentError, match="1,003 members, more than 1,000"):
        kc.load_model(path)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_dataset_of_many_names(ending, tmp_path):
    def name_again(file):
        stored = file.create_dataset("stored", data=np.zeros(1000))
        for number in range(2000):
            file[f"again {number}"] = stored

    write = hostile.write_keras if ending == "keras" else hostile.write_h5
    path = write(tmp_path / f"model.{ending}", MODEL, weights=name_again)
    with pytest.raises(InvalidArgumentError, match="a second name of the same object"):
        kc.load_model(path)


@pytest.mark.parametrize("names", ["layer_names", "weight_names"])
def test_a_weight_that_is_listed_many_times(names, tmp_path):
    def list_again(file):
        group = file["model_weights"]
        group = group["inner"] if names == "weight_names" else group
        again = [b"kernel:0", b".//kernel:0"] if names == "weight_names" else [b"inner", b"./inner"]
        group.attrs[names] = again

    path = hostile.write_h5(tmp_path / "model.h5", MODEL, weights=list_again)
    with pytest.raises(InvalidArgumentError, match="list each layer and each weight once"):
        kc.load_model(path)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_dataset_of_zeros_that_are_not_in_the_file(linked, ending, tmp_path):
    def claim(file):
        file.create_dataset("hidden", (1 << 34,), "f4", chunks=(1 << 20,))
        if linked:
            file["odd"] = h5py.SoftLink("/hidden")

    write = hostile.write_keras if ending == "keras" else hostile.write_h5
    path = write(tmp_path / f"model.{ending}", MODEL, weights=claim)
    with pytest.raises(InvalidArgumentError, match="would take 68,719,|a link to another place"):
        kc.load_model(path)


@pytest.mark.parametrize("depth", [130, 300, 900, 30_000])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_deep_configuration(ending, depth, tmp_path):
    text = json.dumps(MODEL).replace('"net"', f'"net", "deep": {"[" * depth}{"]" * depth}')
    write = hostile.write_keras if ending == "keras" else hostile.write_h5
    path = write(tmp_path / f"model.{ending}", text)
    with pytest.raises(InvalidArgumentError, match="at most 120 levels"):
        kc.load_model(path)


def test_a_configuration_that_unpacks_to_far_more_than_the_file(tmp_path):
    hostile.write_keras(tmp_path / "small.keras", MODEL)
    with zipfile.ZipFile(tmp_path / "small.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] += b" " * (8 << 20)
    with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(InvalidArgumentError, match=r"has at most 1,\d+,\d+ bytes in such a file"):
        kc.load_model(tmp_path / "model.keras")


def test_profiles_that_extend_one_another(tmp_path):
    for number in range(1_500):
        (tmp_path / f"p{number}.toml").write_text(f'extends = "p{number + 1}"\n')
    (tmp_path / "p1500.toml").write_text('title = "the last"\n')
    with pytest.raises(ProfileError, match="at most 20 profiles"):
        kc.check(b"", tmp_path / "p0.toml")
    (tmp_path / "p15.toml").write_text('title = "the last"\nextends = "cortex_m4"\n')
    assert kc.check(b"", tmp_path / "p0.toml").verdict


def test_a_number_without_end_in_a_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    (tmp_path / "keras_metadata.pb").write_bytes(b"\xff" * 300_000)
    with alarm(), pytest.raises(InvalidArgumentError, match="more than 64 bits"):
        kc.load_model(tmp_path)


READERS = {
    "tflite": [kc.inspect, lambda path: kc.check(path, "cortex_m4")],
    "keras": [kc.load_model, lambda path: kc.convert(path)],
    "h5": [kc.load_model],
    "txt": [kc.load_model],
    "npz": [load_arrays],
    "npy": [lambda path: kc.evaluate(b"", path)],
    "toml": [lambda path: kc.check(b"", path)],
}


@pytest.mark.parametrize("ending", READERS)
def test_a_pipe_that_nobody_writes_to(ending, tmp_path):
    os.mkfifo(tmp_path / f"data.{ending}")
    for read in READERS[ending]:
        with alarm(), pytest.raises(CompressionError) as caught:
            read(tmp_path / f"data.{ending}")
        if ending != "npy":
            assert "a pipe" in str(caught.value)
