"""A compressed file loads in a new process, whatever was imported first."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_compress as kc

KERAS_FIRST = "import keras, keras_compress; load = keras.saving.load_model"
KERAS_LAST = "import keras_compress; load = keras_compress.load_model"
ANOTHER = pytest.mark.verify("one more process that imports TensorFlow, as the command line does")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    path = tmp_path_factory.mktemp("saved") / "compressed.keras"
    compressed.save(path)
    return path, compressed.predict(np.ones((1, 4)), verbose=0)


@pytest.mark.parametrize(
    "imports",
    [
        pytest.param(KERAS_FIRST, id="keras first", marks=ANOTHER),
        pytest.param(KERAS_LAST, id="keras last", marks=ANOTHER),
    ],
)
def test_file_loads_in_a_new_process(saved, imports):
    path, expected = saved
    code = (
        f"{imports}; import json, numpy; model = load({str(path)!r}); "
        "print(json.dumps(model.predict(numpy.ones((1, 4)), verbose=0).tolist()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    np.testing.assert_array_equal(json.loads(run.stdout), expected.tolist())
