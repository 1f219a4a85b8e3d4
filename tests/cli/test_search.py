"""The verb search: what the flags ask of `kc.search`, what it writes, how it ends."""

import json
from pathlib import Path

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.cli import main as cli
from tests.searching import fake_trials


class Found:
    """Stands for the result of a search."""

    def __init__(self, meets_constraints):
        self.meets_constraints = meets_constraints

    def __str__(self):
        return "the winner"

    def to_json(self):
        return {"best": 3}

    def save(self, folder):
        return [Path(folder) / "model.tflite"]


@pytest.fixture
def asked(monkeypatch):
    """Record what is asked of the search: the first is the arguments, the last ones its options."""
    calls = []

    def search(*arguments, **options):
        calls.append((*arguments, options))
        return Found(options["constraints"].flash_bytes != 1)

    monkeypatch.setattr(kc, "search", search)
    return calls


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake_trials.network().save("model.keras")
    x = np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
    np.savez("data.npz", x=x, y=np.arange(40) % 4)
    np.savez("other.npz", x=x[:4], y=np.arange(4))
    return tmp_path


FILES = ["search", "--model=model.keras", "--data=data.npz"]


def test_flags_are_the_arguments_of_the_search(asked, here, capsys):
    flags = ["--profile=cortex_m4", "--max_accuracy_drop=0.2", "--macs=0.8", "--sram_bytes=900"]
    flags += ["--budget=9", "--trials=2", "--epochs=1", "--generation=4", "--seed=5", "--loss=mse"]
    flags += ["--executor=ray", "--folder=kept", "--out=found", "--json=found.json"]
    assert cli.main([*FILES, *flags]) == cli.DONE
    model, train, validation, options = asked[0]
    assert model.input_shape == (None, 8)
    constraints = kc.Constraints(max_accuracy_drop=0.2, macs=0.8, sram_bytes=900)
    assert options == {
        "profile": "cortex_m4",
        "constraints": constraints,
        "budget": 9,
        "trials": 2,
        "epochs": 1,
        "generation": 4,
        "loss": "mse",
        "executor": "ray",
        "folder": "kept",
        "seed": 5,
    }
    assert [len(train[1]), len(validation[1])] == [32, 8]
    assert json.loads(Path("found.json").read_text()) == {"best": 3}
    out = capsys.readouterr().out
    assert "the winner" in out and str(Path("found") / "model.tflite") in out


def test_samples_of_ones_own_validate(asked, here):
    assert cli.main([*FILES, "--validation=other.npz"]) == cli.DONE
    assert asked[0][1:3] == ("data.npz", "other.npz")


def test_limits_that_are_not_kept_to_are_told_by_the_exit_code(asked, here, capsys):
    assert cli.main([*FILES, "--flash_bytes=1"]) == 1
    assert "keras_compress_search" in capsys.readouterr().out, "the nearest is written anyway"
