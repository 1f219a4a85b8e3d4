"""Each verb on real files: what it writes, how it ends; a failure leaves nothing behind."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from keras_compress.cli import main as cli

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 8, 8, 3)).astype(np.float32)
Y = RANDOM.integers(0, 4, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a Keras model, samples, a float file, an int8 file and some broken ones."""
    folder = tmp_path_factory.mktemp("verbs")
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(image)
    x = layers.Conv2D(8, 3, activation="relu", name="conv_1")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax", name="head")(x))
    model.save(folder / "model.keras")
    np.savez(folder / "samples.npz", x=X)
    np.savez(folder / "test.npz", x=X, y=Y)
    np.savez(folder / "short.npz", x=X, y=Y[:5])
    np.savez(folder / "narrow.npz", x=X[:, :5], y=Y)
    np.savez(folder / "nan.npz", x=np.full_like(X, np.nan))
    (folder / "empty.tflite").write_bytes(b"")
    (folder / "notes.keras").write_text("these are my notes")
    for name, profile in (("int8", "cortex_m4"), ("float", "float32")):
        arguments = ["--representative_data=samples.npz", f"--profile={profile}"]
        command = ["convert", "--model=model.keras", f"--output={name}.tflite", *arguments]
        assert run(folder, command, f"--json={name}.json") == cli.DONE
    return folder


def run(folder, command, *more):
    """Run a command line whose file names are those of the folder."""
    words = []
    for word in (*command, *more):
        flag, _, value = word.partition("=")
        is_file = value.endswith((".keras", ".npz", ".tflite", ".json", ".html"))
        words.append(f"{flag}={folder / value}" if is_file else word)
    return cli.main(words)


def load(folder, name):
    return json.loads((folder / name).read_text())


def test_convert_writes_an_integer_file_and_its_description(folder):
    assert (folder / "int8.tflite").stat().st_size > 1000
    described = load(folder, "int8.json")
    assert described["profile"] == "cortex_m4"
    assert described["bytes"] == (folder / "int8.tflite").stat().st_size


@pytest.mark.parametrize("shape", ["8,8,3", "image=8,8,3"])
def test_a_free_size_is_given_by_a_flag(folder, shape):
    image = keras.Input((None, None, 3), name="image")
    keras.Model(image, layers.GlobalAveragePooling2D()(image)).save(folder / "free.keras")
    command = ["convert", "--model=free.keras", "--output=free.tflite", "--json=free.json"]
    flags = ["--representative_data=samples.npz", f"--input_shape={shape}"]
    assert run(folder, command, *flags) == cli.DONE
    assert run(folder, ["inspect", "--model=free.tflite", "--json=free.json"]) == cli.DONE
    assert load(folder, "free.json")["inputs"][0]["shape"] == [1, 8, 8, 3]


def test_inspect(folder, capsys):
    assert run(folder, ["inspect", "--model=int8.tflite", "--json=inspect.json"]) == cli.DONE
    found = load(folder, "inspect.json")
    assert set(found) >= {"bytes", "inputs", "outputs", "operators", "float_tensors", "tensors"}
    assert found["float_tensors"] == 0
    assert found["operators"]["CONV_2D"] == 2
    wanted = {"name", "shape", "dtype", "scales", "zero_points", "axis"}
    assert all(wanted <= set(tensor) for tensor in found["tensors"])
    assert any("zeros" in tensor for tensor in found["tensors"])
    assert "CONV_2D" in capsys.readouterr().out
    assert run(folder, ["inspect", "--model=float.tflite", "--json=inspect.json"]) == cli.DONE
    assert load(folder, "inspect.json")["float_tensors"] > 0


def test_check_ends_with_one_where_the_file_does_not_run(folder, capsys):
    command = ["check", "--profile=coral_edgetpu", "--json=check.json"]
    assert run(folder, command, "--model=int8.tflite") == cli.DONE
    found = load(folder, "check.json")
    wanted = {"profile", "verdict", "accelerated_macs", "flash_bytes", "sram_bytes", "findings"}
    assert wanted <= set(found)
    assert found["verdict"] in ("runs", "runs_with_fallbacks")
    command = ["check", "--profile=ethos_u55_128", "--json=check.json"]
    code = run(folder, command, "--model=float.tflite")
    found = load(folder, "check.json")
    assert (code == cli.CHECK_FAILED) == (found["verdict"] == "does_not_run")
    assert all(
        {"code", "operator", "layer", "message", "fix"} <= set(finding)
        for finding in found["findings"]
    )
    assert found["findings"]


def test_check_of_a_damaged_file_fails(folder):
    code = run(folder, ["check", "--profile=cortex_m4"], "--model=empty.tflite")
    assert code in (cli.CHECK_FAILED, cli.BAD_INPUT)


@pytest.mark.parametrize("baseline", ["float.tflite", "model.keras"])
def test_evaluate_against_either_kind_of_baseline(folder, baseline, capsys):
    command = ["evaluate", "--model=int8.tflite", f"--baseline={baseline}", "--data=test.npz"]
    outputs = ["--json=result.json", "--report=report.html"]
    assert run(folder, command, *outputs) == cli.DONE
    result = load(folder, "result.json")
    assert result["samples"] == 64
    assert set(result["baseline"]) >= {"accuracy", "bytes"}
    wanted = {"accuracy", "bytes", "gzip_bytes", "sparsity", "latency_ms"}
    assert wanted <= set(result["model"])
    assert set(result["model"]["latency_ms"]) >= {"p50", "p95"}
    assert set(result["output_error"]) == {"mse", "rmse", "mae", "sqnr_db"}
    assert 0.9 <= result["label_agreement"] <= 1
    assert result["model"]["bytes"] == (folder / "int8.tflite").stat().st_size
    assert "<html" in (folder / "report.html").read_text()
    assert "accuracy" in capsys.readouterr().out


def test_shrink_writes_a_smaller_model(folder, capsys):
    command = ["shrink", "--model=model.keras", "--output=small.keras", "--channels=0.5"]
    assert run(folder, command, "--json=shrink.json") == cli.DONE
    small = keras.saving.load_model(folder / "small.keras")
    widths = [small.get_layer(name).filters for name in ("conv", "conv_1")]
    assert sum(widths) == 8
    assert isinstance(load(folder, "shrink.json"), dict)


CONVERT = ["convert", "--model=model.keras", "--output=new.tflite"]
EVALUATE = ["evaluate", "--model=int8.tflite", "--json=new.json", "--report=new.html"]
SHRINK = ["shrink", "--model=model.keras", "--output=new.keras"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([*CONVERT, "--representative_data=nan.npz"], "finite numbers"),
        ([*CONVERT, "--representative_data=narrow.npz"], "takes samples of shape"),
        ([*CONVERT, "--representative_data=absent.npz"], "absent.npz"),
        ([*CONVERT, "--representative_data=samples.npz", "--profile=cortex_m44"], "cortex_m4"),
        ([*CONVERT, "--representative_data=samples.npz", "--input_shape=8,8"], "(8, 8, 3)"),
        ([*CONVERT, "--representative_data=samples.npz", "--input_shape=8x8x3"], "with commas"),
        (
            [*CONVERT, "--representative_data=samples.npz", "--input_shape=8,8,3"]
            + ["--input_shape=b=3"],
            "begin with the name",
        ),
        (
            ["convert", "--model=notes.keras", "--output=new.tflite"]
            + ["--representative_data=samples.npz"],
            "which is not a zip archive",
        ),
        ([*EVALUATE, "--data=short.npz"], "one entry per sample"),
        ([*EVALUATE, "--data=narrow.npz"], "takes samples of shape"),
        (["evaluate", "--model=empty.tflite", "--data=test.npz", "--json=new.json"], "empty file"),
        (["inspect", "--model=empty.tflite", "--json=new.json"], "empty file"),
        (["check", "--model=int8.tflite", "--profile=corex_m4", "--json=new.json"], "cortex_m4"),
        (SHRINK, "Pass one amount"),
        ([*SHRINK, "--channels=0.5", "--macs=0.5"], "Pass one amount"),
        ([*SHRINK, "--channels=0.5", "--criterion=l3_norm"], "l2_norm"),
        (["shrink", "--model=model.keras", "--output=new.h5", "--macs=0.5"], "end in .keras"),
    ],
)
def test_bad_input_is_said_in_a_line_and_leaves_nothing_behind(folder, command, words, capsys):
    before = set(folder.iterdir())
    assert run(folder, command) == cli.BAD_INPUT
    said = capsys.readouterr().err.strip().splitlines()
    assert words in said[-1] and said[-1].startswith("keras-compress: ")
    assert set(folder.iterdir()) == before
