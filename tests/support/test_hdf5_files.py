"""HDF5 files whose values are all inside pass the check; others are refused with what they hold."""

import io
import subprocess
import sys

import h5py
import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.support import hdf5_files


def write(path, *, filters=True):
    settings = {"compression": "gzip", "shuffle": True, "fletcher32": True} if filters else {}
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=np.arange(6.0), **settings)
        group.create_dataset("empty", data=np.zeros((0, 3)))
        group.create_dataset("scalar", data=np.float32(2))
        # As Keras stores bfloat16.
        group.create_dataset("short", data=np.zeros(4, "V2"))
        group.create_dataset("text", data=np.array([b"ab", b"c"]))
    return path


@pytest.mark.parametrize("filters", [False, True])
def test_plain_files_pass(filters, tmp_path):
    path = write(tmp_path / "a.h5", filters=filters)
    with hdf5_files.opened(path) as file:
        np.testing.assert_array_equal(file["layers/dense/vars/0"], np.arange(6.0))
    content = path.read_bytes()
    hdf5_files.check_stream(io.BytesIO(content), len(content), "a file")


def test_a_group_that_holds_itself_is_refused(tmp_path):
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["layers/dense/again"] = file["layers"]
    with (
        pytest.raises(InvalidArgumentError, match="'again', a second name"),
        hdf5_files.opened(path),
    ):
        pass


def test_values_of_unusual_types_are_refused(tmp_path):
    pair = np.zeros(3, [("a", "f4"), ("b", "f4")])
    texts = np.array(["a", "b"], h5py.string_dtype())
    for name, values in (("pair", pair), ("texts", texts)):
        path = write(tmp_path / f"{name}.h5")
        with h5py.File(path, "a") as file:
            file.create_dataset("odd", data=values)
        with pytest.raises(InvalidArgumentError, match="'odd', with values of type"):
            hdf5_files.check_stream(io.BytesIO(path.read_bytes()), path.stat().st_size, "a file")


def test_damage_is_explained_in_one_line(tmp_path):
    content = write(tmp_path / "a.h5").read_bytes()
    for cut in (0, 8, 100, len(content) // 2):
        with pytest.raises(InvalidArgumentError, match="damaged or not a Keras model") as caught:
            hdf5_files.check_stream(io.BytesIO(content[:cut]), cut, "a file")
        assert "\n" not in str(caught.value)


def test_an_error_that_is_kept_until_the_end_of_python_ends_it_well():
    program = (
        "import gc, io\n"
        "from keras_compress.support import hdf5_files\n"
        "gc.disable()\n"
        "try:\n"
        "    hdf5_files.check_stream(io.BytesIO(b'short'), 5, 'a file')\n"
        "except ValueError as error:\n"
        "    error.itself = error\n"
        "gc.freeze()  # as if something else held it\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
