"""The JAX and PyTorch loops of docs/custom_loops.md run, each in a process with its backend."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

SETUP = """
import keras
import numpy as np
import keras_compress as kc

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
trained = keras.Sequential(
    [
        keras.Input((8,)),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(4, activation="softmax"),
    ]
)
dataset = [
    tuple(
        keras.ops.convert_to_tensor(values)
        for values in (random.normal(size=(16, 8)).astype("float32"), random.integers(0, 4, 16))
    )
    for _ in range(4)
]
"""

CHECK = """
phases = [v for v in model.variables if v.path.endswith("/phase")]
assert phases
assert {int(keras.ops.convert_to_numpy(phase)) for phase in phases} == {2}
assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 12
before = keras.ops.convert_to_numpy(trained.layers[0].kernel)
kernels = [v for v in model.trainable_variables if v.path.endswith("/kernel")]
assert np.any(keras.ops.convert_to_numpy(kernels[0]) != before)
for layer in kc.strip(model).layers:
    if isinstance(layer, keras.layers.Dense):
        assert np.mean(keras.ops.convert_to_numpy(layer.kernel) == 0) == 0.5
model.save(FILE)
"""


CONVERT = """
import numpy as np
import keras_compress as kc

samples = np.random.default_rng(1).normal(size=(64, 8)).astype("float32")
converted = kc.convert(kc.load_model(FILE, compile=False), "generic_int8", samples)
assert converted.inspect().float_tensors == 0
"""


def run(backend, program, path):
    done = subprocess.run(
        [sys.executable, "-c", f"FILE = {str(path)!r}\n{program}"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("backend", "title"), [("jax", "JAX"), ("torch", "PyTorch")])
def test_the_loop_of_the_page_prunes_and_quantizes(backend, title, tmp_path):
    pytest.importorskip(backend)
    page = (ROOT / "docs/custom_loops.md").read_text()
    loop = re.search(rf"## {title}\n.*?```python\n(.*?)```", page, re.DOTALL)
    run(backend, SETUP + loop.group(1) + CHECK, tmp_path / "trained.keras")
    if importlib.util.find_spec("tensorflow"):
        run("tensorflow", CONVERT, tmp_path / "trained.keras")
