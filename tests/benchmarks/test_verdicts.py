"""The table of verdicts, and what the tools that are at hand say of the same files."""

import collections
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.edge_profiles import profile
from keras_compress.evaluation import runtimes
from keras_compress.exporting import vela
from keras_compress.exporting.android import add_metadata

pytestmark = pytest.mark.verify(
    "converts twelve networks for every profile and runs them in every runtime"
)

MICRO = """
import json, os, sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime

def run(path, inputs):
    # Some of the checks of TFLite Micro abort the process: each file has one of its own.
    child = os.fork()
    if child == 0:
        try:
            interpreter = runtime.Interpreter.from_file(path, arena_size=1000000)
            for index in range(inputs):
                details = interpreter.get_input_details(index)
                interpreter.set_input(np.ones(details["shape"], details["dtype"]), index)
            interpreter.invoke()
        except Exception:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

print(json.dumps({path: run(path, inputs) for path, inputs in json.loads(sys.argv[1]).items()}))
"""


@pytest.fixture(scope="module")
def table(pytestconfig):
    return load(pytestconfig, "verdicts")


def load(pytestconfig, name):
    path = pytestconfig.rootpath / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verdicts")
    table.make_files(folder)
    return folder


@pytest.fixture(scope="module")
def found(table, files):
    return table.verdicts(files)


def test_page_is_the_one_that_the_checks_make(table, found):
    assert table.PAGE.read_text(encoding="utf-8") == table.render(found), (
        "run: python benchmarks/verdicts.py"
    )


def test_every_network_meets_every_profile(found):
    assert len(found) == 12
    assert {tuple(by_profile) for by_profile in found.values()} == {profile.profiles()}


def test_tflite_micro_confirms(files):
    pytest.importorskip("tflite_micro.python", reason="tflite-micro is not installed")
    paths = sorted(files.glob("*.tflite"))
    inputs = {str(path): len(kc.inspect(path).inputs) for path in paths}
    done = subprocess.run(
        [sys.executable, "-c", MICRO, json.dumps(inputs)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    real = {path.rsplit("/", 1)[-1]: runs for path, runs in json.loads(done.stdout).items()}
    checked = {path.name: kc.check(path, "cortex_m4").runs for path in paths}
    assert checked == real
    assert set(real.values()) == {True, False}


@pytest.mark.parametrize(
    ("setting", "target"),
    [("int8", "ethos_u55_128"), ("int8", "ethos_u85_256"), ("int16x8", "ethos_u55_128")],
)
def test_vela_confirms_what_is_left_to_the_cpu(files, setting, target):
    pytest.importorskip("ethosu", reason="ethos-u-vela is not installed")
    engine = profile.get(target).engine
    for path in sorted(files.glob(f"*.{setting}.tflite")):
        entries = kc.check(path, target).operators
        expected = collections.Counter(
            e["operator"] for e in entries if e["runs_on"] not in (engine, "no processor (folded)")
        )
        real = collections.Counter(
            entry["operator"] for entry in vela.compile_model(path, target).cpu_operators
        )
        assert expected == real, path.name


def test_litert_confirms(files):
    from ai_edge_litert.interpreter import Interpreter

    for path in sorted(files.glob("*.tflite")):
        assert kc.check(path, "android_cpu").runs
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        for details in interpreter.get_input_details():
            interpreter.set_tensor(details["index"], np.ones(details["shape"], details["dtype"]))
        interpreter.invoke()


def test_openvino_confirms_with_the_answers_of_litert(files):
    pytest.importorskip("openvino", reason="openvino is not installed")
    for path in sorted(files.glob("*.int8.tflite")):
        assert kc.check(path, "raspberry_pi").runs
        answers = []
        for name in ("litert", "openvino"):
            random = np.random.default_rng(0)
            with runtimes.open_file(path, name) as opened:
                shapes = [(tensor.shape, tensor.dtype) for tensor in opened.inputs]
                fed = [random.integers(-128, 128, shape).astype(kind) for shape, kind in shapes]
                answers.append(opened.run(fed))
        for ours, theirs in zip(*answers, strict=True):
            assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 3, path.name


def test_mediapipe_confirms(files, pytestconfig, tmp_path):
    """The networks that tell images apart, as the GPU's float files with metadata."""
    python = os.environ.get("KERAS_COMPRESS_MEDIAPIPE_PYTHON")
    if not python:
        pytest.skip("set KERAS_COMPRESS_MEDIAPIPE_PYTHON to an interpreter that has mediapipe")
    script = load(pytestconfig, "mediapipe_classifier")
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    paths = []
    for name in ("cnn", "residual", "separable", "squeeze_excite"):
        source = files / f"{name}.float32.tflite"
        assert kc.check(source, "android_gpu").verdict == "runs"
        packed = add_metadata(source, labels=range(10), mean=0, std=255)
        paths.append(packed.save(tmp_path / f"{name}.tflite"))
    command = [python, "-c", script.CLASSIFY, tmp_path / "images.npy", *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])["found"]
    for path in paths:
        for scores, wanted in zip(found[str(path)], script.litert(path, images), strict=True):
            best = {str(i): wanted[i] for i in np.argsort(wanted)[-3:]}
            assert scores == pytest.approx(best, abs=1e-5)
