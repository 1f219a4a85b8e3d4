"""Documented paths of before the move still give their names, and say where they are now."""

import importlib

import pytest

MOVED = {
    "keras_compress.converters.flatbuffer": "read",
    "keras_compress.converters.vela": "compile_model",
    "keras_compress.converters.coral": "compile_model",
    "keras_compress.converters.android": "add_metadata",
    "keras_compress.converters.micro.firmware": "build_firmware",
    "keras_compress.converters.micro.compressed_weights": "compress_weights",
    "keras_compress.subclassed": "functional",
}


@pytest.mark.parametrize("path", MOVED)
def test_an_old_path_warns_and_gives_the_name(path):
    module = importlib.import_module(path)
    with pytest.warns(
        DeprecationWarning, match=f"{path} has moved: import {MOVED[path]} from"
    ) as w:
        value = getattr(module, MOVED[path])
    new = str(w[0].message).rstrip(".").rsplit(" ", 1)[1]
    assert getattr(importlib.import_module(new), MOVED[path]) is value
    assert w[0].filename == __file__


def test_a_name_that_there_never_was_is_refused():
    module = importlib.import_module("keras_compress.converters.flatbuffer")
    with pytest.raises(AttributeError, match="reed"):
        module.reed  # noqa: B018


@pytest.mark.parametrize("folder", ["converters", "edge_profiles"])
def test_the_bare_name_of_a_folder_of_the_checkout_is_refused(folder):
    with pytest.raises(ImportError, match=f"Import it as keras_compress.{folder}"):
        importlib.import_module(folder)
