"""CONTRIBUTING.md's new criterion works as it stands there: the file alone is enough."""

import re
import sys

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.pruning import criteria
from keras_compress.support import plugins
from tests.conftest import ROOT

keras = pytest.importorskip("keras")

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture
def the_file(tmp_path, monkeypatch):
    """Lay the file of the page among the criteria, for one test."""
    [code] = re.findall(r"```python\n# (?:\S+/)?(\w+\.py)\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / code[0]).write_text(code[1])
    monkeypatch.setattr(criteria, "__path__", [*criteria.__path__, str(tmp_path)])
    _forget()
    yield code[0].removesuffix(".py")
    sys.modules.pop(f"{criteria.__name__}.{code[0].removesuffix('.py')}", None)
    _forget()


def _forget():
    plugins.names.cache_clear()
    plugins.get.cache_clear()


def test_the_criterion_has_ten_lines_and_prunes(the_file, tmp_path):
    code = (tmp_path / f"{the_file}.py").read_text()
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 11
    layer = keras.layers.Dense(4, use_bias=False, name="head")
    model = keras.Sequential([keras.Input((2,)), layer])
    # Columns with medians 1, 2, 3 and 4.
    layer.set_weights([np.array([[0.0, 2.0, 3.0, 4.0], [2.0, 2.0, 3.0, 4.0]], "float32")])
    small = kc.compress(model, pruning=kc.Pruning(pattern="channel", criterion=the_file))
    small.compile("sgd", "mse", jit_compile=False)
    x, y = np.zeros((4, 2), "float32"), np.zeros((4, 4), "float32")
    small.fit(x, y, verbose=0, callbacks=[kc.PruningCallback(kc.OneShot(0.25, step=0))])
    [kernel] = kc.strip(small).get_weights()
    assert np.flatnonzero(~kernel.any(axis=0)).tolist() == [0]
    small.save(tmp_path / "small.keras")
    loaded = kc.load_model(tmp_path / "small.keras")
    assert loaded.get_layer("head").pruning.criterion == plugins.get(criteria.__name__, the_file)()
