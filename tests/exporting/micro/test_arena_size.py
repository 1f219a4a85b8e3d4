import subprocess
import sys

import pytest

from keras_compress.evaluation.runtimes.tflite_micro import TFLiteMicro
from keras_compress.exporting.micro.arena_size import arena_size
from keras_compress.tflite import flatbuffer

INVOKE = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
content, arena = sys.stdin.buffer.read(), int(sys.argv[1])
interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena)
details = interpreter.get_input_details(0)
interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
interpreter.invoke()
"""


def runs(content, size):
    command = [sys.executable, "-c", INVOKE, str(size)]
    return not subprocess.run(command, input=content, capture_output=True).returncode


def test_tflite_micro_runs_in_the_measured_arena(by_tensorflow):
    pytest.importorskip("tflite_micro.python", reason="tflite-micro is not installed")
    size = arena_size(flatbuffer.read(by_tensorflow.int8))
    assert size.measured
    assert size.total_bytes % 16 == 0
    assert runs(by_tensorflow.int8, size.total_bytes)
    assert not runs(by_tensorflow.int8, size.head_bytes)


def test_the_estimate_is_near_and_says_what_it_is(by_tensorflow, monkeypatch):
    pytest.importorskip("tflite_micro.python", reason="tflite-micro is not installed")
    model = flatbuffer.read(by_tensorflow.int8)
    measured = arena_size(model)
    monkeypatch.setattr(TFLiteMicro, "available", classmethod(lambda _: False))
    estimated = arena_size(model)
    assert not estimated.measured
    assert estimated.head_bytes == measured.head_bytes
    assert measured.tail_bytes <= estimated.tail_bytes
    assert runs(by_tensorflow.int8, estimated.total_bytes)


def test_scratch_memory_of_the_largest_filter_is_in_the_margin(handmade):
    from ai_edge_litert import schema_py_generated as schema

    one = {"scale": [1.0], "zero_point": [0]}
    tensors = [
        {"name": "x", "shape": (1, 3, 3, 500), "type": "INT8", **one},
        {"name": "w", "shape": (1, 3, 3, 500), "type": "INT8", "data": bytes(4500), **one},
        {"name": "b", "shape": (1,), "type": "INT32", "data": bytes(4), **one},
        {"name": "y", "shape": (1, 1, 1, 1), "type": "INT8", **one},
    ]
    options = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideW=1, strideH=1)
    options.dilationWFactor = options.dilationHFactor = 1
    content = handmade(tensors, [("CONV_2D", [0, 1, 2], [3], options)], [0], [3])
    assert arena_size(flatbuffer.read(content)).margin_bytes == 4 * 3 * 3 * 500
