"""What CONTRIBUTING.md says an addition costs: one file, and all roads know it."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.edge_profiles import profile
from keras_compress.layers import base as layer_types
from keras_compress.support import plugins
from keras_compress.tflite import flatbuffer
from tests.conftest import ROOT

keras = pytest.importorskip("keras")

FOLDER = Path(__file__).with_name("fixtures") / "additions"
# File -> the package that it is laid into.
HOMES = {
    "median.py": "pruning.criteria",
    "gradient_norm.py": "pruning.criteria",
    "three_sigma.py": "quantization.quantizers",
    "conv1d_transpose.py": "layers",
    "numpy_dense.py": "evaluation.runtimes",
    "small_board.toml": "edge_profiles",
}


@pytest.fixture
def lay(tmp_path, monkeypatch):
    """A function that lays one file of the folder into its package, for one test."""
    modules = []

    def add(file):
        package = importlib.import_module(f"keras_compress.{HOMES[file]}")
        (tmp_path / file).write_bytes((FOLDER / file).read_bytes())
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        modules.append(f"{package.__name__}.{file.removesuffix('.py')}")
        _forget()
        return file.removesuffix(".py")

    yield add
    for module in modules:
        sys.modules.pop(module, None)
    _forget()


def _forget():
    """A new file is found by a new process; here what was looked up before is forgotten."""
    plugins.names.cache_clear()
    plugins.get.cache_clear()
    layer_types._name_of.cache_clear()


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(inputs))


def trained(model, *callbacks):
    model.compile("sgd", "mse", jit_compile=False)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 8)), random.normal(size=(64, 4))
    model.fit(x, y, batch_size=8, verbose=0, callbacks=list(callbacks))
    return model


@pytest.mark.parametrize("file", ["median.py", "gradient_norm.py"])
def test_a_criterion_prunes_and_is_saved_by_name(file, lay, tmp_path):
    name = lay(file)
    model = kc.compress(network(), pruning=kc.Pruning(criterion=name))
    trained(model, kc.PruningCallback(kc.OneShot(0.5, step=4), observed_steps=2))
    assert np.mean(kc.strip(model).get_layer("head").get_weights()[0] == 0) == 0.5
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras").get_layer("head").pruning.criterion
    assert type(loaded).__module__.endswith(f"criteria.{name}")


def test_a_quantizer_s_scale_is_in_the_file(lay):
    name = lay("three_sigma.py")
    model = kc.compress(network(), quantization=kc.Quantization(weight_quantizer=name))
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    converted = kc.convert(kc.calibrate(model, x), "generic_int8")
    (weights,) = [t for t in flatbuffer.read(converted).subgraphs[0].tensors if t.shape == (4, 8)]
    # The scale of a channel: three deviations over the 127 steps of 8 bits.
    expected = 3 * network().get_layer("head").get_weights()[0].std(axis=0) / 127
    np.testing.assert_allclose(weights.scales, expected, rtol=1e-5)


def test_a_layer_type_is_pruned_and_its_zeros_are_in_the_file(lay):
    lay("conv1d_transpose.py")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 3))
    model = keras.Model(inputs, keras.layers.Conv1DTranspose(4, 3, name="up")(inputs))
    model = kc.compress(model, pruning=kc.Pruning())
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.ones((8, 8, 3)), np.ones((8, 10, 4))
    pruning = kc.PruningCallback(kc.OneShot(0.5, step=0))
    model.fit(x, y, verbose=0, callbacks=[pruning])
    plain = kc.strip(model)
    assert np.mean(plain.get_layer("up").get_weights()[0] == 0) == 0.5
    converted = kc.convert(plain, "float32")
    assert any((tensor["zeros"] or 0) >= 18 for tensor in converted.inspect().to_json()["tensors"])


def test_a_runtime_evaluates(lay):
    name = lay("numpy_dense.py")
    x = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    converted = kc.convert(network(), "float32")
    result = kc.evaluate(
        converted, x, baseline=network(), runtime=name, latency_runs=0, untrusted=False
    )
    assert result.output_error["rmse"] < 1e-6


def test_a_profile_checks_against_its_own_limits():
    own = profile.get(FOLDER / "small_board.toml")
    assert (own.flash_bytes, own.sram_bytes) == (65_536, 16_384)
    converted = kc.convert(network(), own, np.random.default_rng(0).normal(size=(50, 8)))
    assert kc.check(converted, own).verdict == "runs"
    wide = keras.Sequential([keras.Input((8,)), keras.layers.Dense(9_000)])
    wide = kc.convert(wide, own, np.random.default_rng(0).normal(size=(50, 8)))
    assert "flash_over_budget" in {finding.code for finding in kc.check(wide, own).findings}


def test_the_page_tells_the_lines_of_these_files():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"(?m)^\| .*? \| `tests/fixtures/additions/(\S+)` \| 1 \| (\d+) \|", text)
    lines = {
        file: sum(bool(line.strip()) for line in (FOLDER / file).read_text().splitlines())
        for file in HOMES
    }
    assert {file: int(count) for file, count in rows} == lines
