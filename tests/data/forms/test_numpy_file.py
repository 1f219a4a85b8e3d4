"""Files of numpy, from anybody: what they hold is checked before it is read."""

import numpy as np
import pytest

from keras_compress.data.forms import numpy_file
from keras_compress.data.input_spec import InputSpec
from keras_compress.errors import InvalidArgumentError

X = np.arange(12.0).reshape(4, 3)


def test_npy_stays_on_the_disk(tmp_path):
    np.save(tmp_path / "x.npy", X)
    x, y = numpy_file.read(tmp_path / "x.npy", None).whole()
    assert isinstance(x.base, np.memmap) or isinstance(x, np.memmap)
    np.testing.assert_array_equal(x, X)
    assert y is None


def test_an_input_that_is_called_y_is_no_target(tmp_path):
    np.savez(tmp_path / "both.npz", x=X, y=X[:, 0])
    specs = [InputSpec("x", (3,)), InputSpec("y", ())]
    x, y = numpy_file.read(tmp_path / "both.npz", specs).whole()
    assert set(x) == {"x", "y"} and y is None
    x, y = numpy_file.read(tmp_path / "both.npz", specs[:1]).whole()
    assert x.shape == (4, 3) and y.shape == (4,)


@pytest.mark.parametrize("kind", ["pickle", "short", "text", "missing", "empty"])
def test_npy_that_claims_or_carries_what_it_must_not(kind, tmp_path):
    path = tmp_path / "x.npy"
    if kind == "pickle":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    elif kind != "missing":
        np.save(path, X)
        content = path.read_bytes()
        path.write_bytes({"short": content[:-8], "text": b"no array", "empty": b""}[kind])
    with pytest.raises(InvalidArgumentError, match="must contain one plain array"):
        numpy_file.read(path, None)
