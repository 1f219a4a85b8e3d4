"""trial_folder.py: whose a folder is, and a trial that ends the process again and again."""

import pytest

import keras_compress as kc
from keras_compress.errors import CompressionError
from keras_compress.searching.jobs import Job
from keras_compress.searching.trial_folder import TrialFolder


def folder_of(path, search="5f3a", until=1, **recipe):
    job = Job(number=0, recipe=kc.Recipe(**recipe), until=until, folder=str(path / "trial"))
    return TrialFolder(job, search)


def crash(folder):
    """Begin a piece of a trial and never end it, as a process that is killed."""
    folder.begin()


def fill(folder):
    (folder.backup / "saved_1").mkdir(parents=True)
    names = ("smaller.keras", "model.tflite", "notes.txt")
    for name in names:
        (folder.path / name).write_text(name)


@pytest.mark.parametrize("other", [{"search": "0000"}, {"macs": 0.5}])
def test_what_another_trial_left_is_removed_and_nothing_else(tmp_path, other):
    fill(folder_of(tmp_path))
    with folder_of(tmp_path).in_use():
        fill(folder_of(tmp_path))
    with folder_of(tmp_path, until=3).in_use():
        assert (tmp_path / "trial" / "model.tflite").exists()
    with folder_of(tmp_path, **other).in_use():
        assert {path.name for path in (tmp_path / "trial").iterdir()} == {"notes.txt", "trial.json"}


@pytest.mark.parametrize("content", ["", "\0" * 9, "[]", '{"crashes": "x"}', "[" * 100_000])
def test_a_folder_that_does_not_say_whose_it_is_is_emptied(tmp_path, content):
    folder = folder_of(tmp_path)
    fill(folder)
    (folder.path / "trial.json").write_text(content)
    with folder.in_use():
        assert not folder.backup.exists()


def test_a_trial_that_ends_the_process_five_times_fails(tmp_path):
    for _ in range(5):
        crash(folder_of(tmp_path))
    with pytest.raises(CompressionError, match="ended in this trial 5 times in a row"):
        crash(folder_of(tmp_path))
    # Then it may be tried again: plain quantization is.
    crash(folder_of(tmp_path))


def test_an_epoch_or_an_error_in_between_begins_the_count_anew(tmp_path):
    for _ in range(2):
        for _ in range(4):
            crash(folder_of(tmp_path))
        with pytest.raises(KeyboardInterrupt), folder_of(tmp_path).in_use():
            raise KeyboardInterrupt
    for number in range(8):
        crash(folder_of(tmp_path))
        (tmp_path / "trial" / "backup" / f"saved_{number}").mkdir(parents=True)
