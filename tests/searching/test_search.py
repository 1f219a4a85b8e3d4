"""The search: resumed wherever it was killed, honest where nothing fits, the same on Ray."""

import contextlib
import gc
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.cli import main as cli
from keras_compress.errors import ConversionError, InvalidArgumentError

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
    assert len(by_epoch[0]) == 4 and len(by_epoch[1]) == 2 and len(by_epoch[3]) == 1
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


def test_without_training_a_budget_of_seconds_ends_the_search(tmp_path, no_files):
    executor = fake_trials.Counted()
    result = search(tmp_path, executor, epochs=0, trials=None, budget=1e-9)
    assert {until for _, until in executor.done} == {0} and len(executor.done) == 4
    assert {trial.state for trial in result.trials} == {"complete"}


def test_a_model_that_cannot_be_quantized_plainly_ends_the_search(tmp_path, no_files):
    class Failing(fake_trials.Counted):
        def run(self, jobs, context):
            yield from ((job, {"error": "ConversionError: LOG"}) for job in jobs)

    with pytest.raises(ConversionError, match="cannot be quantized for cortex_m4.*LOG"):
        search(tmp_path, Failing())


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


def test_one_call_keeps_a_fifth_for_validation_and_its_folder_goes_with_the_result(no_files):
    seen = []

    class Seeing(fake_trials.Counted):
        def run(self, jobs, context):
            seen.append(context)
            yield from super().run(jobs, context)

    arrays = (np.tile(fake_trials.X, (5, 1)), np.tile(fake_trials.Y, 5))
    result = kc.autocompress(
        fake_trials.network(), arrays, max_accuracy_drop=0.1, trials=3, executor=Seeing()
    )
    assert result.constraints.max_accuracy_drop == 0.1 and result.meets_constraints
    assert len(seen[0].validation[1]) == 8
    folder = Path(result.best.folder)
    assert folder.exists()
    del result
    gc.collect()
    assert not folder.exists()


def test_one_call_says_which_data_it_takes():
    with pytest.raises(InvalidArgumentError, match=r"tuple \(x, y\).*type Dataset"):
        kc.autocompress(fake_trials.network(), type("Dataset", (), {})())


@pytest.mark.verify("tries, converts and evaluates whole networks")
def test_the_command_line_finds_a_file_whose_figures_hold(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = fake_trials.network()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 8)).astype("float32")
    np.savez("data.npz", x=x, y=model.predict(x, verbose=0).argmax(-1))
    model.save("model.keras")
    flags = ["--model=model.keras", "--data=data.npz", "--profile=cortex_m4", "--epochs=1"]
    limits = ["--max_accuracy_drop=1", "--macs=0.8", "--trials=1", "--json=found.json"]
    assert cli.main(["search", *flags, *limits, "--out=found"]) == cli.DONE
    names = {path.name for path in Path("found").iterdir()}
    assert {"model.tflite", "model.keras", "recipe.toml", "search.json", "search.html"} <= names
    best = json.loads(Path("found.json").read_text())["best"]["objectives"]
    verdict = kc.check("found/model.tflite", "cortex_m4")
    assert (verdict.flash_bytes, verdict.macs) == (best["flash_bytes"], best["macs"])
    assert best["macs"] <= 0.8 * 72
    from keras_compress.data.splitting import split

    _, validation = split(x, np.load("data.npz")["y"])
    assert kc.evaluate("found/model.tflite", *validation).model.accuracy == best["accuracy"]
    micro = kc.evaluate("found/model.tflite", validation[0], runtime="tflite_micro")
    assert micro.model.arena["total_bytes"] == best["sram_bytes"]


ON_RAY = """
import importlib.util, os, pathlib, signal, sys, time
import ray
spec = importlib.util.spec_from_file_location("fake_trials", sys.argv[1])
fake_trials = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake_trials)
fake_trials.without_files(setattr)
import keras_compress as kc
from keras_compress.searching.executors.ray import Ray
marks = pathlib.Path(sys.argv[2]) / "marks"
marks.mkdir()

def task(job, context):
    macs, zeros = job.recipe.macs, job.recipe.sparsity
    name = f"{job.number}_{job.until}_{os.getpid()}_{time.time_ns()}"
    (marks / name).write_text("")
    if (job.number, job.until) == (1, 0) and len(list(marks.glob("1_0_*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    zeros = sum(zeros.values()) / len(zeros) if isinstance(zeros, dict) else zeros
    accuracy = 0.9 - 0.05 * (1 - macs) - 0.1 * zeros**2 + 0.001 * job.until
    found = {"accuracy": accuracy, "epochs": job.until, "seconds": 0.01}
    if job.until not in (0, context.tuning.epochs):
        return found
    flash = int(1000 * macs * (1 - zeros / 2))
    figures = dict(accuracy=accuracy, flash_bytes=flash, sram_bytes=100, latency_ms=None)
    return {**found, "objectives": {**figures, "macs": int(72 * macs), "verdict": "runs"}}

class Fake(Ray):
    task = staticmethod(task)

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
data = (fake_trials.X, fake_trials.Y)
limits = kc.Constraints(max_accuracy_drop=0.1, flash_bytes=800)
executor = Fake()
result = kc.search(fake_trials.network(), data, data, profile="cortex_m4", trials=5,
    generation=3, epochs=3, constraints=limits, folder=sys.argv[2] + "/ray", executor=executor)
for trial in result.trials:
    print("trial", trial.number, trial.recipe.to_json(), trial.state, trial.epochs, sep="|")
print("workers", executor.workers, "runs of the killed", len(list(marks.glob("1_0_*"))), sep="|")
"""


@pytest.mark.verify("starts a cluster of Ray")
def test_two_ray_workers_try_the_same_and_a_lost_one_costs_a_retry(tmp_path, no_files):
    pytest.importorskip("ray", reason="trials on a cluster need Ray: keras-compress[ray]")
    expected = search(tmp_path / "local", fake_trials.Counted())
    command = [sys.executable, "-c", ON_RAY, str(HERE / "fake_trials.py"), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line for line in run.stdout.splitlines() if line.startswith(("trial|", "workers|"))]
    wanted = [
        f"trial|{t.number}|{t.recipe.to_json()}|{t.state}|{t.epochs}" for t in expected.trials
    ]
    assert lines[:-1] == wanted
    assert lines[-1] == "workers|2|runs of the killed|2"
