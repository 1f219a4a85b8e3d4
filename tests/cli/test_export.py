"""The verb `export`: what each format writes, and what it refuses."""

import json
import zipfile

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.cli import main as cli


@pytest.fixture
def conv(handmade, tmp_path):
    """A convolution with three of four weights zero, int8, as a file."""
    return write_conv(handmade, tmp_path / "conv.tflite", "INT8", "INT8")


@pytest.fixture
def picture(handmade, tmp_path):
    """The mean colour of a uint8 image, as a file."""
    from ai_edge_litert import schema_py_generated as schema

    axes = np.array([1, 2], np.int32)
    scale = {"scale": [0.5], "zero_point": [0]}
    tensors = [
        {"name": "image", "shape": (1, 4, 4, 3), "type": "UINT8", **scale},
        {"name": "axes", "shape": (2,), "type": "INT32", "data": axes.tobytes()},
        {"name": "score", "shape": (1, 3), "type": "UINT8", **scale},
    ]
    path = tmp_path / "picture.tflite"
    path.write_bytes(handmade(tensors, [("MEAN", [0, 1], [2], schema.ReducerOptionsT())], [0], [2]))
    return path


def write_conv(handmade, path, kind, weight_kind):
    from ai_edge_litert import schema_py_generated as schema

    weights = np.random.default_rng(0).integers(-127, 128, (16, 3, 3, 16)).astype(np.int8)
    weights[np.random.default_rng(1).uniform(size=weights.shape) < 0.75] = 0
    stored = {"shape": weights.shape, "type": weight_kind, "data": weights.tobytes()}
    one, small = {"scale": [1.0], "zero_point": [0]}, {"scale": [0.001], "zero_point": [0]}
    tensors = [
        {"name": "x", "shape": (1, 8, 8, 16), "type": kind, **one},
        {"name": "w", **stored, **small},
        {"name": "b", "shape": (16,), "type": "INT32", "data": bytes(64), **small},
        {"name": "y", "shape": (1, 6, 6, 16), "type": kind, **one},
    ]
    options = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideW=1, strideH=1)
    options.dilationWFactor = options.dilationHFactor = 1
    path.write_bytes(handmade(tensors, [("CONV_2D", [0, 1, 2], [3], options)], [0], [3]))
    return path


def export(model, kind, profile, folder, *more):
    arguments = [f"--model={model}", f"--format={kind}", f"--profile={profile}", f"--out={folder}"]
    return cli.main(["export", *arguments, *more])


def test_c(conv, tmp_path, capsys):
    folder, report = tmp_path / "firmware", tmp_path / "export.json"
    assert export(conv, "c", "cortex_m4", folder, "--name=digits", f"--json={report}") == cli.DONE
    names = {"digits.h", "digits.cc", "digits_operators.h"}
    assert {path.name for path in folder.iterdir()} == names
    assert "namespace digits" in (folder / "digits.h").read_text()
    assert json.loads(report.read_text())["operators"] == ["AddConv2D"]
    assert "digits_operators.h" in capsys.readouterr().out


def test_micro(conv, tmp_path):
    pytest.importorskip("tflite_micro.python", reason="tflite-micro is not installed")
    assert export(conv, "micro", "cortex_m4", tmp_path / "out") == cli.DONE
    written = tmp_path / "out" / "model.tflite"
    assert written.stat().st_size < conv.stat().st_size
    assert "TFLM_DECODE" in kc.inspect(written).operators


def test_vela(conv, tmp_path):
    pytest.importorskip("ethosu", reason="ethos-u-vela is not installed")
    assert export(conv, "vela", "ethos_u55_128", tmp_path / "out") == cli.DONE
    assert kc.inspect(tmp_path / "out" / "model_vela.tflite").operators == {"ethos-u": 1}


def test_android(picture, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    folder = tmp_path / "app"
    assert export(picture, "android", "android_cpu", folder, f"--labels={labels}") == cli.DONE
    with zipfile.ZipFile(folder / "model.tflite") as archive:
        assert archive.read("labels.txt") == b"red\ngreen\nblue\n"


def test_a_file_that_does_not_run_there_is_not_written(handmade, tmp_path, capsys):
    model = write_conv(handmade, tmp_path / "conv.tflite", "UINT8", "UINT8")
    assert export(model, "c", "cortex_m4", tmp_path / "out") == cli.CHECK_FAILED
    assert "does not run on cortex_m4" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "profile", "more", "words"),
    [
        ("vela", "cortex_m4", (), "Vela compiles for Ethos-U only"),
        ("android", "android_cpu", (), "one image of shape"),
        ("android", "android_cpu", ("--mean=x",), "takes a number"),
        ("c", "cortex_m4", ("--name=my-model",), "C++ identifier"),
        ("elf", "cortex_m4", (), "format"),
    ],
)
def test_bad_usage(conv, tmp_path, capsys, kind, profile, more, words):
    assert export(conv, kind, profile, tmp_path / "out", *more) == cli.BAD_INPUT
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
