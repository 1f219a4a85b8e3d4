"""The search: resumed wherever it was killed, honest where nothing fits, the same on Ray."""

import contextlib
import importlib.util
import json
from pathlib import Path

import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError

pytest.importorskip("optuna", reason="the search needs Optuna: keras-compress[search]")

HERE = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("fake_trials", HERE / "fake_trials.py")
fake_trials = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fake_trials)


@pytest.fixture
def no_files(monkeypatch):
    fake_trials.without_files(monkeypatch.setattr)


def search(folder, executor, **options):
    data = (fake_trials.X, fake_trials.Y)
    limits = options.pop("constraints", kc.Constraints(max_accuracy_drop=0.1, flash_bytes=800))
    usual = {"profile": "cortex_m4", "trials": 5, "generation": 3, "epochs": 3}
    return kc.search(
        fake_trials.network(),
        data,
        data,
        constraints=limits,
        folder=folder,
        executor=executor,
        **{**usual, **options},
    )


def tried(result):
    return [(t.number, t.recipe, t.state, t.epochs, t.accuracy) for t in result.trials]


def test_killed_after_any_trial_it_goes_on_where_it_was(tmp_path, no_files):
    whole = fake_trials.Counted()
    expected = search(tmp_path / "whole", whole)
    done, result = [], None
    for _ in range(50):
        executor = fake_trials.Counted(stop_after=1)
        with contextlib.suppress(KeyboardInterrupt):
            result = search(tmp_path / "killed", executor)
        done += executor.done
        if result is not None:
            break
    assert done == whole.done and len(set(done)) == len(done)
    assert tried(result) == tried(expected)
    assert len({trial.recipe for trial in result.trials}) == len(result.trials) == 6


def test_halving_stops_the_worse_and_completes_the_best(tmp_path, no_files):
    executor = fake_trials.Counted()
    result = search(tmp_path, executor, trials=3)
    by_epoch = {until: [n for n, u in executor.done if u == until] for until in (0, 1, 3)}
    assert len(by_epoch[0]) == 4 and len(by_epoch[1]) == 3 and len(by_epoch[3]) == 1
    assert {t.state for t in result.trials} == {"complete", "stopped"}
    assert result.best.number == by_epoch[3][0]
    assert result.best.objectives.flash_bytes <= 800 and result.meets_constraints


def test_what_cannot_be_met_ends_with_the_nearest_and_a_sentence(tmp_path, no_files):
    limits = kc.Constraints(max_accuracy_drop=0.1, flash_bytes=100)
    result = search(tmp_path, fake_trials.Counted(), constraints=limits)
    assert not result.meets_constraints and "flash_bytes=100 binds" in result.unmet
    done = [t.objectives.flash_bytes for t in result.trials if t.is_complete]
    assert result.best.objectives.flash_bytes == min(done)
    assert {t.state for t in result.trials if t.number >= 0} == {"complete", "too large"}


def test_another_search_in_the_same_folder_is_refused(tmp_path, no_files):
    search(tmp_path, fake_trials.Counted(), trials=1)
    with pytest.raises(InvalidArgumentError, match="another constraints"):
        search(tmp_path, fake_trials.Counted(), constraints=kc.Constraints())


def test_a_latency_that_cannot_be_had_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="No latency of cortex_m4"):
        search(tmp_path, "local", constraints=kc.Constraints(latency_ms=5))


def test_the_bar_shows_the_best_and_the_page_all_trials(tmp_path, no_files, capsys):
    result = search(tmp_path, fake_trials.Counted(), progress=True)
    assert "best: " in capsys.readouterr().err
    page = result._repr_html_()
    assert page.count("<svg") == 2 and "The winning recipe" in page
    assert json.loads(json.dumps(result.to_json()))["best"]["number"] == result.best.number
    assert kc.Recipe.from_toml(result.to_json()["recipe"]) == result.recipe
    assert str(result).count("\n") > len(result.trials)
