"""The Edge TPU's runtime on machines without one: refusals that say what is missing."""

import pytest

from keras_compress.errors import EvaluationError
from keras_compress.evaluation import runtimes
from keras_compress.evaluation.runtimes.edgetpu import EdgeTPU


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(EvaluationError, match="'edgetpu' is not installed.*libedgetpu"):
        runtimes.choose("edgetpu")


def test_a_library_that_does_not_load_is_an_error_in_words(monkeypatch, handmade):
    """As it is with the library and without a device: the delegate cannot be made."""
    monkeypatch.setattr(EdgeTPU, "available", classmethod(lambda cls: True))
    monkeypatch.setattr(
        "keras_compress.evaluation.runtimes.edgetpu._LIBRARY", "libedgetpu_is_not_here.so"
    )
    one = {"scale": [1.0], "zero_point": [0]}
    tensors = [{"name": name, "shape": (1, 3), "type": "INT8", **one} for name in "xy"]
    content = handmade(tensors, [("RELU", [0], [1], None)], [0], [1])
    with pytest.raises(EvaluationError, match="'edgetpu' does not run this file"):
        runtimes.open_file(content, "edgetpu")
