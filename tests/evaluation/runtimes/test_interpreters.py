"""The runtimes beside each other on converted networks."""

import numpy as np
import pytest

from keras_compress.errors import EvaluationError
from keras_compress.evaluation import runtimes
from keras_compress.evaluation.quantization import quantize
from keras_compress.evaluation.runtimes import base
from keras_compress.exporting.micro.arena_size import arena_size
from keras_compress.tflite import flatbuffer


def run(content, runtime, images, count=20):
    with runtimes.open_file(content, runtime) as opened:
        [details] = opened.inputs
        x = images[:count]
        if details.is_quantized:
            x = quantize(x, details.scale, details.zero_point, details.dtype)
        return opened.run([x])[0]


def test_micro_equals_the_reference_kernels(files, images):
    micro = run(files.int8, "tflite_micro", images)
    np.testing.assert_array_equal(micro, run(files.int8, "litert_reference", images))


def test_micro_stays_near_the_reference_kernels_on_16_bits(files, images):
    micro = run(files.int16x8, "tflite_micro", images).astype(int)
    reference = run(files.int16x8, "litert_reference", images).astype(int)
    assert np.abs(micro - reference).max() <= 3


def test_default_kernels_stay_near_the_reference(files, images):
    default = run(files.int8, "litert", images).astype(int)
    reference = run(files.int8, "litert_reference", images).astype(int)
    assert np.abs(default - reference).max() <= 2


def test_float_file_answers_as_keras(classifier, files, images):
    answers = run(files.float32, "litert", images)
    np.testing.assert_allclose(answers, classifier.predict(images[:20], verbose=0), atol=1e-5)


def test_tf_lite_equals_litert(files, images):
    np.testing.assert_array_equal(
        run(files.int8, "tf_lite", images), run(files.int8, "litert", images)
    )


def test_arena_of_micro_is_what_it_needs(files):
    """Less does not do; what it takes beyond, while it plans, is little."""
    import subprocess
    import sys

    with runtimes.open_file(files.int8, "tflite_micro") as opened:
        opened.invoke([np.zeros((1, 8, 8, 1), np.int8)])
        arena = opened.arena()
    assert arena["total_bytes"] == arena["head_bytes"] + arena["tail_bytes"]
    code = (
        "import sys; from tflite_micro.python.tflite_micro import runtime;"
        "runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=int(sys.argv[1]))"
    )

    def opens(size):
        command = [sys.executable, "-c", code, str(size)]
        return not subprocess.run(command, input=files.int8, capture_output=True).returncode

    assert opens(arena["total_bytes"] + 1024)
    assert not opens(arena["total_bytes"] - 64)


def test_litert_has_no_arena(files):
    with runtimes.open_file(files.int8, "litert") as opened:
        assert opened.arena() is None


def test_micro_grows_its_arena(handmade):
    """A file of a few hundred bytes with activations of 400 kB."""
    quantization = {"type": "INT8", "scale": [1.0], "zero_point": [0]}
    tensors = [
        {"name": name, "shape": (1, 200_000), **quantization} for name in ("x", "middle", "y")
    ]
    content = handmade(tensors, [("ABS", [0], [1], None), ("ABS", [1], [2], None)], [0], [2])
    with runtimes.open_file(content, "tflite_micro") as opened:
        [y] = opened.invoke([np.full((1, 200_000), -3, np.int8)])
        assert (y == 3).all()
        assert opened.arena()["head_bytes"] >= 400_000


def test_an_abort_of_micro_is_an_error(handmade):
    """A sum whose scale is far below its summands' makes TFLite Micro abort its process."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = [
        {"name": name, "shape": (1, 3), "type": "INT8", "scale": [scale], "zero_point": [0]}
        for name, scale in (("x", 1.0), ("y", 1e-9))
    ]
    content = handmade(tensors, [("ADD", [0, 0], [1], schema.AddOptionsT())], [0], [1])
    with pytest.raises(EvaluationError, match="ended its process .SIGABRT"):
        runtimes.open_file(content, "tflite_micro")


def test_openvino_stays_near_the_reference_kernels(files, images):
    pytest.importorskip("openvino", reason="openvino is not installed")
    answers = run(files.int8, "openvino", images).astype(int)
    reference = run(files.int8, "litert_reference", images).astype(int)
    assert np.abs(answers - reference).max() <= 2


def test_openvino_is_kept_from_16_bits(files, images):
    pytest.importorskip("openvino", reason="openvino is not installed")
    with pytest.raises(EvaluationError, match="16-bit activations"):
        run(files.int16x8, "openvino", images)


def test_micro_has_a_limit_on_time_wherever_it_runs(files, monkeypatch):
    monkeypatch.setattr(base, "SECONDS_WITHOUT_PROGRESS", 1e-6)
    with pytest.raises(EvaluationError, match="made no progress within 1e-06 seconds"):
        arena_size(flatbuffer.read(files.int8))
