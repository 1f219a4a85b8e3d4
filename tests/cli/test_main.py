"""The command line: verbs, exit codes, and messages for people."""

import json
import re

import numpy as np
import pytest

from keras_compress.cli import check
from keras_compress.cli import main as cli
from keras_compress.data.forms.numpy_file import load_arrays
from keras_compress.errors import InvalidArgumentError


def test_usage_lists_every_verb(capsys):
    assert cli.main(["--help"]) == cli.DONE
    printed = capsys.readouterr().out
    assert all(f"keras-compress {verb}" in printed for verb in cli.VERBS)


def test_no_verb_is_bad_usage(capsys):
    assert cli.main([]) == cli.BAD_INPUT


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_explains_its_flags(verb, capsys):
    assert cli.main([verb, "--help"]) == cli.DONE
    printed = capsys.readouterr().out
    assert "--" in printed and "absl" not in printed
    (example,) = re.findall(r"Example: keras-compress (.*)", printed)
    flags_of_example = re.findall(r"--(\w+)=", example)
    required = re.findall(r"--(\w+).*Required\.", printed)
    positional = ["model", "profile"][: len(example.split(" --")[0].split()) - 1]
    assert set(required) <= {*flags_of_example, *positional}
    assert all(f"--{name}" in printed for name in flags_of_example)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convrt"], "Did you mean 'convert'"),
        (["inspect"], "--model (The .tflite file) is required. See: keras-compress inspect --help"),
        (["check"], "Keras model: .keras, .h5, SavedModel), --profile"),
        (["check", "model.tflite"], "--profile (Target: a name or a .toml file) is required"),
        (["check", "--profile=cortex_m4"], "--model (A .tflite file, or a Keras model"),
        (["export", "model.tflite", "cortex_m4", "--format=x"], "c|android|vela|micro"),
        (["inspect", "a.tflite", "b.tflite"], "only MODEL may stand in front"),
        (["inspect", "--modle=x"], "Unknown command line flag"),
        (["inspect", "model.tflite"], "model.tflite"),
        (["inspect", "--model=absent.tflite"], "absent.tflite"),
        (["demo", "--profile=cortex_m44"], "Did you mean 'cortex_m4'"),
    ],
)
def test_bad_usage_says_what_and_how(arguments, words, capsys):
    assert cli.main(arguments) == cli.BAD_INPUT
    assert words in capsys.readouterr().err


def test_a_model_and_a_profile_need_no_flags(monkeypatch):
    received = []
    monkeypatch.setattr(check, "execute", lambda values: received.append(values) or cli.DONE)
    for words in (
        ["m.tflite", "cortex_m4"],
        ["m.tflite", "--profile=cortex_m4"],
        ["--model", "m.tflite", "--profile", "cortex_m4"],
    ):
        assert cli.main(["check", *words]) == cli.DONE
    assert {(values.model, values.profile) for values in received} == {("m.tflite", "cortex_m4")}


def test_profiles_as_json(tmp_path, capsys):
    path = tmp_path / "profiles.json"
    assert cli.main(["profiles", f"--json={path}"]) == cli.DONE
    names = {entry["name"] for entry in json.loads(path.read_text())}
    assert {"generic_int8", "cortex_m4", "coral_edgetpu"} <= names
    assert "cortex_m4" in capsys.readouterr().out


def test_file_that_is_no_model_is_bad_input(tmp_path, capsys):
    path = tmp_path / "notes.tflite"
    path.write_text("these are my notes")
    assert cli.main(["inspect", f"--model={path}"]) == cli.BAD_INPUT
    error = capsys.readouterr().err
    assert error.count("\n") == 1


def test_arrays_of_one_and_of_several_inputs(tmp_path):
    one, several = tmp_path / "one.npz", tmp_path / "several.npz"
    np.savez(one, x=np.zeros((2, 3)), y=np.ones(2))
    np.savez(several, left=np.zeros((2, 3)), right=np.zeros((2, 4)))
    x, y = load_arrays(one)
    assert x.shape == (2, 3) and y.tolist() == [1, 1]
    x, y = load_arrays(several)
    assert set(x) == {"left", "right"} and y is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no zip at all"])
def test_broken_npz_is_refused(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match="npz"):
        load_arrays(path)


def test_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidArgumentError, match="plain arrays"):
        load_arrays(path)
