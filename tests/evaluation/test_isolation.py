"""An untrusted file in a separate process: same answers, and nothing that it does gets out."""

import os

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import EvaluationError, InvalidArgumentError
from keras_compress.evaluation import isolation
from keras_compress.evaluation.execution import run_file
from keras_compress.evaluation.isolation import Isolation
from keras_compress.evaluation.runtimes.litert import LiteRT
from keras_compress.tflite import flatbuffer

FAST = {"latency_runs": 2, "threads": 1}


@pytest.fixture(scope="module")
def crashing(handmade):
    """A scale far too small aborts the process of the reference kernels."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = [
        {"name": name, "shape": (1, 3), "type": "INT8", "scale": [scale], "zero_point": [0]}
        for name, scale in (("x", 1.0), ("y", 1e-9))
    ]
    return handmade(tensors, [("ADD", [0, 0], [1], schema.AddOptionsT())], [0], [1])


class Converted:
    def __init__(self, content):
        self.content = content


def without_times(result):
    found = result.to_json()
    found["model"].pop("latency_ms")
    return found


def test_answers_are_those_of_this_process(files, images, labels):
    inside = kc.evaluate(files.int8, images, labels, files.float32, untrusted=False, **FAST)
    outside = kc.evaluate(files.int8, images, labels, files.float32, untrusted=True, **FAST)
    assert without_times(inside) == without_times(outside)
    assert outside.model.latency_ms.runs == 2


def test_bytes_and_paths_are_isolated_and_own_files_are_not(files, tmp_path):
    path = tmp_path / "model.tflite"
    assert isolation.isolation_for(None, files.int8, LiteRT) == Isolation()
    assert isolation.isolation_for(None, path, LiteRT) == Isolation()
    assert isolation.isolation_for(None, Converted(files.int8), LiteRT) is None
    assert isolation.isolation_for(True, Converted(files.int8), LiteRT) == Isolation()
    assert isolation.isolation_for(False, path, LiteRT) is None


def test_a_runtime_that_cannot_be_imported_runs_here_unless_isolation_is_asked_for(files, images):
    class Mine(LiteRT):
        pass

    kc.evaluate(files.int8, images[:2], runtime=Mine, **FAST)
    with pytest.raises(InvalidArgumentError, match="can be imported"):
        kc.evaluate(files.int8, images[:2], runtime=Mine, untrusted=True, **FAST)


def test_a_crash_is_an_error_of_one_line_and_the_next_file_runs(files, images, crashing):
    ones = np.ones((2, 3), np.float32)
    for _ in range(2):
        with pytest.raises(EvaluationError, match="crashed .SIGABRT") as caught:
            kc.evaluate(crashing, ones, runtime="litert_reference", **FAST)
        assert str(caught.value).isprintable()
    assert kc.evaluate(files.int8, images[:2], **FAST).samples == 2


def test_an_error_of_the_caller_is_no_crash_of_the_file(files, images):
    def interrupted(count):
        raise ValueError("the caller's own")

    with pytest.raises(ValueError, match="the caller's own"):
        run_file(
            flatbuffer.read(files.int8),
            [images],
            runtime=LiteRT,
            isolation=Isolation(),
            progress=interrupted,
        )


def test_a_baseline_that_crashes_is_an_error_too(handmade, crashing):
    tensors = [{"name": name, "shape": (1, 3), "type": "FLOAT32"} for name in "xy"]
    good = handmade(tensors, [("ABS", [0], [1], None)], [0], [1])
    with pytest.raises(EvaluationError, match="crashed .SIGABRT"):
        kc.evaluate(good, np.ones((2, 3), np.float32), baseline=crashing, **FAST)


def test_what_does_not_go_on_is_ended(files, images):
    with pytest.raises(EvaluationError, match=r"made no progress within 0\.001 seconds"):
        kc.evaluate(files.int8, images, untrusted=Isolation(seconds=0.001), **FAST)


def test_memory_is_bounded(handmade):
    """Two tensors of a gigabyte each, in a file of some hundred bytes."""
    tensors = [{"name": name, "shape": (1, 1 << 28), "type": "FLOAT32"} for name in "xyz"]
    content = handmade(tensors, [("ABS", [0], [1], None), ("ABS", [1], [2], None)], [0], [2])
    limit = Isolation(seconds=60, memory_bytes=1 << 30)
    with pytest.raises(EvaluationError) as caught:
        limit.call("try", flatbuffer.read(content), (), runtime=LiteRT)
    assert "\n" not in str(caught.value)


def test_one_process_serves_many_files_and_none_is_left_behind(files, images):
    isolation.pool.end_idle()
    kc.evaluate(files.int8, images[:2], untrusted=True, **FAST)
    (first,) = isolation.pool.idle
    kc.evaluate(files.float32, images[:2], untrusted=True, **FAST)
    assert isolation.pool.idle == [first]
    pid = first.pid
    isolation.pool.end_idle()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_refusals_keep_their_type(files, images):
    bad = images[:2].copy()
    bad[1, 0] = np.nan
    with pytest.raises(InvalidArgumentError, match="finite"):
        kc.evaluate(files.float32, bad, untrusted=True, **FAST)


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"memory_bytes": -1}])
def test_limits_are_above_zero(limits):
    with pytest.raises(InvalidArgumentError, match="must be above 0"):
        Isolation(**limits)
