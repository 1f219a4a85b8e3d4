import subprocess
import sys

import pytest

from keras_compress.errors import EvaluationError, FlatbufferError, UnknownNameError
from keras_compress.evaluation import runtimes
from keras_compress.evaluation.runtimes.litert import LiteRT
from keras_compress.evaluation.runtimes.tf_lite import TFLite
from keras_compress.evaluation.runtimes.tflite_micro import TFLiteMicro
from keras_compress.evaluation.runtimes.tflite_runtime import TFLiteRuntime


@pytest.mark.parametrize(
    ("missing", "chosen"),
    [
        ((), LiteRT),
        ((LiteRT, TFLiteRuntime), TFLite),
        ((LiteRT, TFLiteRuntime, TFLite), TFLiteMicro),
    ],
)
def test_first_installed_in_the_stated_order(monkeypatch, missing, chosen):
    for runtime in missing:
        monkeypatch.setattr(runtime, "available", classmethod(lambda cls: False))
    assert runtimes.choose() is chosen


def test_tflite_runtime_comes_before_tensorflow(monkeypatch):
    monkeypatch.setattr(LiteRT, "available", classmethod(lambda cls: False))
    monkeypatch.setattr(TFLiteRuntime, "available", classmethod(lambda cls: True))
    assert runtimes.choose() is TFLiteRuntime


def test_nothing_installed_says_what_to_install(monkeypatch):
    for runtime in (LiteRT, TFLiteRuntime, TFLite, TFLiteMicro):
        monkeypatch.setattr(runtime, "available", classmethod(lambda cls: False))
    with pytest.raises(EvaluationError, match="pip install ai-edge-litert"):
        runtimes.choose()


def test_missing_runtime_by_name_says_what_to_install(monkeypatch):
    monkeypatch.setattr(TFLiteMicro, "available", classmethod(lambda cls: False))
    with pytest.raises(EvaluationError, match=r"keras-compress\[micro\]"):
        runtimes.choose("tflite_micro")


def test_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'litert'"):
        runtimes.choose("litrt")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FlatbufferError, match="Received"):
        runtimes.open_file(b"nonsense")
    with pytest.raises(FlatbufferError, match="absent"):
        runtimes.open_file(tmp_path / "absent.tflite")


def test_a_blocked_import_means_not_available(monkeypatch):
    class Blocker:
        @staticmethod
        def find_spec(name, *_):
            if name == "tensorflow":
                raise ImportError(name)

    monkeypatch.setattr(sys, "meta_path", [Blocker, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert not TFLite.available()


def test_import_is_light():
    code = (
        "import sys, keras_compress.evaluation, keras_compress.evaluation.comparison;"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'matplotlib', 'jinja2', 'ai_edge_litert',"
        " 'tqdm', 'scipy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
