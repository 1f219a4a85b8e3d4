"""Docstrings keep their word: every example runs, every public name is documented."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import keras_compress as kc

keras = pytest.importorskip("keras")

PACKAGES = ("keras_compress", "keras_compress.converters", "keras_compress.edge_profiles")


def _modules_with_examples():
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            source = Path(importlib.util.find_spec(module.name).origin).read_text()
            if ">>> " in source:
                yield module.name


@pytest.mark.parametrize("name", sorted(set(_modules_with_examples())))
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    said = []
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        test.globs.update(kc=kc, keras=keras, np=np)
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("name", [name for name in kc.__all__ if name != "__version__"])
def test_public_names_show_how_they_are_used(name):
    value = getattr(kc, name)
    text = inspect.getdoc(value)
    assert text.splitlines()[0].endswith((".", "`."))
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        assert "Example:" in text and ">>> " in text


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'compres'"):
        kc.compres  # noqa: B018
