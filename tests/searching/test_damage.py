"""A search whose folder is damaged goes on, and never gives results of another search."""

import json
import shutil
import sqlite3
import warnings
from pathlib import Path

import keras
import pytest

import keras_compress as kc
from keras_compress.errors import CompressionError, InvalidArgumentError
from keras_compress.searching.ledger import sqlite
from keras_compress.searching.outcome import file_digests
from keras_compress.searching.records import Records
from tests.searching import fake_trials

optuna = pytest.importorskip("optuna", reason="the search needs Optuna: keras-compress[search]")

DATA = (fake_trials.X, fake_trials.Y)
LIMITS = {"max_accuracy_drop": 0.1, "flash_bytes": 800}


def search(folder, executor=None, model=None, **options):
    options = {"constraints": kc.Constraints(**LIMITS), "trials": 4, "generation": 2, **options}
    return kc.search(
        fake_trials.network() if model is None else model,
        DATA,
        DATA,
        profile="cortex_m4",
        epochs=3,
        folder=folder,
        executor=executor or fake_trials.Counted(),
        **options,
    )


def again(folder, executor=None):
    """Search once more; return the result, the pieces of trials that ran, and what was warned."""
    executor = fake_trials.Counted() if executor is None else executor
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = search(folder, executor)
    warned = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return result, executor.done, "\n".join(warned)


def tried(result):
    return [(t.number, t.recipe, t.state, t.epochs, t.accuracy) for t in result.trials]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a search that nothing disturbed, and its result."""
    folder = tmp_path_factory.mktemp("searched") / "search"
    with pytest.MonkeyPatch.context() as patch:
        fake_trials.without_files(patch.setattr)
        return folder, search(folder)


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    fake_trials.without_files(monkeypatch.setattr)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "search")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def replace(path):
    path.write_bytes(b'{"key": "generation 0", "value": []}')


def make_folder(path):
    path.unlink()
    path.mkdir()


def delete(path):
    path.unlink()


RECORD_DAMAGES = [truncate, zero, replace, delete]


@pytest.mark.parametrize("damage", [*RECORD_DAMAGES, make_folder])
def test_the_storage_is_made_anew_from_the_records(whole, folder, damage):
    damage(folder / "search.db")
    result, done, warned = again(folder)
    assert not done and tried(result) == tried(whole[1])
    assert ("search.db cannot be read" in warned) == (folder / "search.db.damaged").exists()
    assert_copied(folder, result)


def assert_copied(folder, result):
    """Each trial stands in the storage once."""
    study = optuna.load_study(study_name="keras_compress", storage=sqlite(folder))
    numbers = sorted(trial.user_attrs["trial"] for trial in study.trials)
    assert numbers == sorted(t.number for t in result.trials if not t.is_plain)


@pytest.mark.parametrize("damage", RECORD_DAMAGES)
def test_damaged_records_are_found_out_again(whole, folder, damage):
    names = ["generation_0", "trial_0_epoch_0", "trial_-1_epoch_0", "probes", "seconds", "baseline"]
    for name in names:
        damage(folder / "records" / f"{name}.json")
    result, done, warned = again(folder)
    assert sorted(done) == [(-1, 0), (0, 0)] and tried(result) == tried(whole[1])
    assert ("6 of the records" in warned) == (damage is not delete)
    assert again(folder)[1:] == ([], "")
    assert_copied(folder, result)


def test_without_any_record_the_same_trials_are_run_again(whole, folder):
    shutil.rmtree(folder / "records")
    result, done, _ = again(folder)
    assert len(set(done)) == len(done) == len(list((folder / "records").glob("trial*")))
    assert tried(result) == tried(whole[1])
    assert_copied(folder, result)


def test_a_record_under_another_name_does_not_count(whole, folder):
    records = folder / "records"
    shutil.copy(records / "trial_1_epoch_0.json", records / "trial_0_epoch_0.json")
    result, done, warned = again(folder)
    assert done == [(0, 0)] and "1 of the records" in warned
    assert tried(result) == tried(whole[1])


@pytest.mark.parametrize("missing", ["accuracy", "seconds", "objectives", "recipe"])
def test_an_outcome_with_a_missing_field_is_measured_again(whole, folder, missing):
    path = folder / "records" / "trial_0_epoch_0.json"
    content = json.loads(path.read_text())
    value = content["value"]
    if missing == "objectives":
        del value["objectives"]["macs"]
    elif missing == "recipe":
        value["recipe"] = {"profile": "cortex_m4", "macs": 0.123}
    else:
        del value[missing]
    Records(folder / "records", content["search"]).write("trial 0 epoch 0", value)
    result, done, _ = again(folder)
    assert done == [(0, 0)] and tried(result) == tried(whole[1])


@pytest.mark.parametrize("key", ["probes", "removals", "baseline", "generation 1", "seconds"])
def test_figures_with_missing_fields_are_measured_again(whole, folder, key):
    content = json.loads(next((folder / "records").glob("*.json")).read_text())
    Records(folder / "records", content["search"]).write(key, [None])
    result, done, warned = again(folder)
    assert not done and "cannot be read" in warned
    assert tried(result) == tried(whole[1])


class WithFiles(fake_trials.Counted):
    """Writes a file for each trial that is measured, and says which."""

    def run(self, jobs, context):
        for job, outcome in super().run(jobs, context):
            if "objectives" in outcome:
                folder, name = Path(job.folder), f"after_{job.until}.tflite"
                (folder / name).write_text(f"{job.number} {job.until}")
                outcome = {**outcome, "files": file_digests(folder, [name])}
            yield job, outcome


@pytest.mark.parametrize("damage", [truncate, delete])
def test_a_trial_whose_file_is_damaged_is_run_again(tmp_path, damage):
    expected, _, _ = again(tmp_path, WithFiles())
    number = expected.best.number
    damage(tmp_path / f"trial_{number:04d}" / "after_3.tflite")
    result, done, _ = again(tmp_path, WithFiles())
    assert done == [(number, 3)] and tried(result) == tried(expected)


def other_weights():
    model = fake_trials.network()
    model.layers[0].bias.assign_add(keras.ops.ones(6))
    return model


def other_activation():
    model = fake_trials.network()
    model.layers[0].activation = keras.activations.tanh
    return model


DELETIONS = {
    "nothing": [],
    "the storage": ["search.db"],
    "the records": ["records"],
    "the storage and all records but one": ["search.db", "records/[!p]*"],
    "all but the folders of trials": ["search.db", "records", "baseline.keras"],
}


@pytest.mark.parametrize("deleted", DELETIONS.values(), ids=list(DELETIONS))
def test_a_folder_knows_its_model_whatever_is_deleted(folder, deleted):
    for path in [path for pattern in deleted for path in folder.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused = r"another (search|model|architecture).*delete"
    for model in (other_weights(), other_activation()):
        with pytest.raises(InvalidArgumentError, match=refused):
            search(folder, model=model)


def test_a_float_model_without_its_record_is_saved_anew(folder):
    for path in folder.iterdir():
        if path.name != "baseline.keras":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    model = other_weights()
    search(folder, model=model, trials=1)
    saved = keras.saving.load_model(folder / "baseline.keras", compile=False)
    assert saved.layers[0].bias.numpy().tolist() == model.layers[0].bias.numpy().tolist()


def test_a_search_of_an_earlier_version_goes_on(whole, folder):
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/old.db",
        study_name="keras_compress",
        directions=["maximize", "minimize", "minimize"],
    )
    for path in sorted((folder / "records").glob("*.json")):
        content = json.loads(path.read_text())
        if content["key"].startswith("trial "):
            del content["value"]["recipe"]
        study.set_user_attr(content["key"], content["value"])
    fingerprint = {k: v for k, v in content["search"].items() if k != "architecture"}
    study.set_user_attr("fingerprint", fingerprint)
    shutil.rmtree(folder / "records")
    (folder / "old.db").replace(folder / "search.db")
    result, done, warned = again(folder)
    assert (done, warned) == ([], "") and tried(result) == tried(whole[1])
    assert_copied(folder, result)


def test_a_storage_that_cannot_be_opened_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InvalidArgumentError, match="storage must be the URL of an Optuna storage"):
        search(tmp_path, storage="sqlite:////missing/folder/file.db")


def test_a_storage_that_is_lost_in_the_middle_does_not_end_the_search(whole, tmp_path, monkeypatch):
    def lost(study, trial):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(optuna.Study, "add_trial", lost)
    result, _, warned = again(tmp_path)
    assert "no longer copied" in warned
    assert tried(result) == tried(whole[1])


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="folder must be one that exists or can be made"):
        search(tmp_path / "file")


def test_an_outcome_without_a_figure_is_a_failed_trial(tmp_path):
    class Forgetful(fake_trials.Counted):
        def run(self, jobs, context):
            for job, outcome in super().run(jobs, context):
                if job.number == 0:
                    outcome = {"accuracy": float("nan"), "epochs": 0, "seconds": 0.0}
                yield job, {} if job.number == 1 else outcome

    result = search(tmp_path, Forgetful())
    errors = {trial.number: trial.error for trial in result.trials if trial.state == "failed"}
    assert errors == {0: "its metric is not a number", 1: "the outcome lacks epochs"}
    assert tried(again(tmp_path)[0]) == tried(result)


def test_plain_quantization_that_failed_by_an_accident_is_tried_at_the_next_start(tmp_path):
    class Full(fake_trials.Counted):
        def run(self, jobs, context):
            yield from ((job, {"error": "OSError: No space left on device"}) for job in jobs)

    with pytest.raises(CompressionError, match="No space left"):
        search(tmp_path, Full(), trials=1)
    assert search(tmp_path, trials=1).trials
