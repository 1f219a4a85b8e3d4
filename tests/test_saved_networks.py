"""Files that earlier versions of the package saved load, answer and convert as they did."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_compress.tflite import flatbuffer
from tests.fixtures.versions import NEWER_FILES

FOLDER = Path(__file__).with_name("fixtures") / "networks"
NAMES = ["plain", "residual", "depthwise", "attention", "recurrent", "multi_output"]


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_networks", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_networks_are_here(make):
    assert [network.__name__ for network in make.NETWORKS] == NAMES


@NEWER_FILES
@pytest.mark.parametrize("name", NAMES)
def test_a_saved_network_answers_and_converts_as_before(name, make):
    keras.utils.clear_session()  # Names that Keras gives by itself are counted from the first.
    model = keras.models.load_model(FOLDER / f"{name}.keras")
    answers = keras.tree.flatten(model(make.data(model)))
    with np.load(FOLDER / f"{name}.npz") as before:
        for answer, key in zip(map(np.asarray, answers), before, strict=True):
            # A value at the edge of two steps may fall to either on another processor.
            assert np.mean(np.isclose(answer, before[key], atol=1e-5)) > 0.9
    _alike(make.converted(model).content, (FOLDER / f"{name}.tflite").read_bytes())


def _alike(content, before):
    """Assert that files hold the same tensors but for what the last bit of a processor turns.

    Byte for byte: `python tests/fixtures/networks/make.py --compare`.
    """
    (new,), (old,) = flatbuffer.read(content).subgraphs, flatbuffer.read(before).subgraphs
    assert [o.name for o in new.operators] == [o.name for o in old.operators]
    for one, other in zip(new.tensors, old.tensors, strict=True):
        assert (one.name, one.shape, one.dtype) == (other.name, other.shape, other.dtype)
        np.testing.assert_allclose(one.scales, other.scales, rtol=1e-5)
        if one.is_constant and one.dtype == "int8":
            assert np.abs(one.data.astype(int) - other.data.astype(int)).max() <= 1
