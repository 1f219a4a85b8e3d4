"""A trial: killed at any moment, it ends as if it had not been."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.searching.jobs import Context, FineTuning, Job
from keras_compress.searching.trial_run import run

EPOCHS = 4


class Killed(Exception):
    """Stands for the end of the process."""


class OneBatch(keras.utils.PyDataset):
    """One batch an epoch: `fit` would put more of them into another order after a restart."""

    def __init__(self, x, y):
        super().__init__()
        self._batch = x, y

    def __len__(self):
        return 1

    def __getitem__(self, _):
        return self._batch


def fine_tuned(folder):
    """Fine-tune a trial for all epochs but one; return a figure that each weight changes."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(6, name="a"), keras.layers.Dropout(0.3), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Softmax()])
    folder.mkdir(exist_ok=True)
    model.save(folder / "baseline.keras")
    x, y = np.eye(8, dtype="float32"), np.arange(8) % 4
    context = Context(
        baseline=str(folder / "baseline.keras"),
        train=OneBatch(x, y),
        validation=(x, y),
        tuning=FineTuning(
            epochs=EPOCHS,
            metric=lambda _, outputs: float(np.sum(outputs * [1, 2, 4, 8])),
            optimizer=lambda steps: keras.optimizers.SGD(0.05, momentum=0.9),
        ),
    )
    recipe = kc.Recipe(profile="cortex_m4", sparsity=0.5)
    job = Job(number=0, recipe=recipe, until=EPOCHS - 1, folder=str(folder / "trial"))
    return run(job, context)["accuracy"]


def kill_after_saving(monkeypatch, backup):
    """End the process when the weights of a backup are written and its number is not."""
    saved = 0
    save_weights = keras.Model.save_weights

    def interrupted(*args, **kwargs):
        nonlocal saved
        saved += 1
        save_weights(*args, **kwargs)
        if saved == backup:
            raise Killed

    monkeypatch.setattr(keras.Model, "save_weights", interrupted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder and figure of a trial that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fine_tuned(folder)


def test_a_kill_in_the_middle_of_a_backup_changes_nothing(whole, tmp_path, monkeypatch):
    _, expected = whole
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after_saving(patched, backup=2)
        fine_tuned(tmp_path / "killed")
    assert fine_tuned(tmp_path / "killed") == expected


def test_a_trial_that_is_done_is_not_trained_again(whole, monkeypatch):
    folder, expected = whole
    monkeypatch.setattr(keras.Model, "train_on_batch", None)
    monkeypatch.setattr(keras.Model, "save_weights", None)
    assert fine_tuned(folder) == expected
