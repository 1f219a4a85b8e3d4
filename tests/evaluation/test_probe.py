import numpy as np
import pytest

from keras_compress.errors import EvaluationError, FlatbufferError
from keras_compress.evaluation.probe import probe


def test_a_good_file_passes(files):
    probe(files.int8)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello" * 100])
def test_what_is_no_file_is_refused_without_a_child(content):
    with pytest.raises(FlatbufferError, match="Received"):
        probe(content)


def test_a_refusal_is_passed_on(handmade):
    tensors = [{"name": "x", "shape": (1, 3), "type": "FLOAT32"}] * 2
    content = handmade(tensors, [("STABLEHLO_CASE", [0], [1], None)], [0], [1])
    with pytest.raises(EvaluationError, match="'litert' does not run this file: .*stablehlo"):
        probe(content)


def test_a_crash_is_an_error(handmade):
    """A scale far too small aborts the process of the reference kernels."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = [
        {"name": name, "shape": (1, 3), "type": "INT8", "scale": [scale], "zero_point": [0]}
        for name, scale in (("x", 1.0), ("y", 1e-9))
    ]
    content = handmade(tensors, [("ADD", [0, 0], [1], schema.AddOptionsT())], [0], [1])
    with pytest.raises(EvaluationError, match="crashed .SIGABRT.*on this file"):
        probe(content, "litert_reference")


def test_what_never_ends_is_killed(files):
    with pytest.raises(EvaluationError, match="made no progress within 0.001 seconds"):
        probe(files.int8, timeout=0.001)


def test_truncated_files_are_errors_in_any_case(files):
    """Whatever the reader lets pass, the child refuses: this process never opens it."""
    random = np.random.default_rng(0)
    for size in (4, 8, 100, *random.integers(100, len(files.int8) - 1, 3)):
        with pytest.raises((FlatbufferError, EvaluationError)):
            probe(files.int8[:size])
