"""MediaPipe's own ImageClassifier on files with our metadata, where an environment has it."""

import importlib.util
import os

import pytest

PYTHON = "KERAS_COMPRESS_MEDIAPIPE_PYTHON"


def test_mediapipe_names_the_classes_with_the_scores_of_litert(pytestconfig, tmp_path):
    python = os.environ.get(PYTHON)
    if not python:
        pytest.skip(
            f"MediaPipe wants an environment of its own: set {PYTHON} to its interpreter, or run "
            "benchmarks/mediapipe_classifier.py, which makes one"
        )
    path = pytestconfig.rootpath / "benchmarks" / "mediapipe_classifier.py"
    spec = importlib.util.spec_from_file_location("mediapipe_classifier", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    report = script.compare(python, tmp_path)
    for kind in ("uint8", "float32"):
        assert report[kind]["named_right"] == report["images"] == 9
        assert report[kind]["largest_difference_to_litert"] < 1e-5
