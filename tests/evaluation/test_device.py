"""A device that has numpy and LiteRT, and nothing of TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest

DEVICE = """
import importlib.abc, sys

ALLOWED = {"numpy", "ai_edge_litert", "flatbuffers", "keras_compress", "absl"}
BLOCKED = {"tensorflow", "keras", "tf_keras", "jax", "torch", "matplotlib", "jinja2", "scipy",
           "sklearn", "pandas", "tflite_micro", "tqdm"}

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r} on this device", name=name)

sys.meta_path.insert(0, Blocker())
import numpy as np
import keras_compress as kc
from keras_compress.evaluation import runtimes

data = np.load(sys.argv[2])
with runtimes.open_file(sys.argv[1]) as opened:
    opened.invoke([np.zeros(tensor.shape, tensor.dtype) for tensor in opened.inputs])
first = sorted(sys.modules)
result = kc.evaluate(sys.argv[1], data["x"], data["y"], baseline=sys.argv[3])
import json
json.dump({"first": first, "result": result.to_json(), "text": str(result)}, sys.stdout)
"""


@pytest.fixture(scope="module")
def on_device(files, images, labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    (folder / "model.tflite").write_bytes(files.int8)
    (folder / "baseline.tflite").write_bytes(files.float32)
    np.savez(folder / "data.npz", x=images, y=labels)
    names = [str(folder / name) for name in ("model.tflite", "data.npz", "baseline.tflite")]
    done = subprocess.run(
        [sys.executable, "-c", DEVICE, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_evaluates_without_tensorflow_and_keras(on_device, files, images, labels):
    import keras_compress as kc

    here = kc.evaluate(files.int8, images, labels, baseline=files.float32).to_json()
    there = on_device["result"]
    for content in (here, there):
        del content["model"]["latency_ms"]
    assert there == here
    assert "accuracy" in on_device["text"]


def test_first_inference_imports_little(on_device):
    """Reading packages as mails and logging took most of a board's start; numpy is half of it."""
    assert not {"email", "logging", "importlib.metadata", "asyncio"} & set(on_device["first"])
    ours = [name for name in on_device["first"] if name.startswith("keras_compress")]
    assert len(ours) <= 30, ours
