"""backup.py: whenever a backup is interrupted, training resumes from a complete one."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import keras_compress as kc  # noqa: E402
from tests.fixtures.batches import batches  # noqa: E402

EPOCHS, BATCHES = 4, 3


class Killed(Exception):
    """Stands for the end of the process."""


def fit(folder, *callbacks, backup=kc.BackupAndRestore, **options):
    keras.utils.set_random_seed(0)
    # Each batch drops different values, so the random generator must be restored too.
    layers = [keras.layers.Dropout(0.3), keras.layers.Dense(8, name="dense")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model = kc.compress(model, pruning=kc.Pruning())
    # Momentum has to be restored, too.
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8 * BATCHES, 6)), rng.normal(size=(2, 8 * BATCHES, 8))
    schedule = kc.PolynomialDecay(0.8, begin_step=2, end_step=11, frequency=3)
    pruning = kc.PruningCallback(schedule)
    epochs = []
    seen = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: epochs.append(epoch))
    callbacks = [pruning, *([backup(folder, **options)] if folder else ()), seen, *callbacks]
    model.fit(batches(8, x[0], y[0]), epochs=EPOCHS, shuffle=False, verbose=0, callbacks=callbacks)
    return epochs, [keras.ops.convert_to_numpy(weight) for weight in model.weights]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training's backups, and the weights that it ended with."""
    folder = tmp_path_factory.mktemp("trained") / "backup"
    return folder, fit(folder, delete_checkpoint=False)[1]


@pytest.fixture
def backups(trained, tmp_path):
    """A copy of a training's backups."""
    return Path(shutil.copytree(trained[0], tmp_path / "backup"))


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(None)[1]


def interrupt(monkeypatch, where, save):
    """Make the third backup end as a kill would end it, before or after what is named."""
    count = 0
    real = getattr(*where)

    def interrupted(*args, **kwargs):
        nonlocal count
        count += 1
        if count == 3:
            save and real(*args, **kwargs)
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(*where, interrupted)


@pytest.mark.parametrize(
    ("where", "save", "resumed"),
    [
        ((keras.Model, "save_weights"), False, 2),
        ((keras.Model, "save_weights"), True, 2),
        ((os, "rename"), False, 2),
        ((os, "rename"), True, 3),
    ],
)
def test_a_kill_while_saving_loses_one_backup_at_most(
    where, save, resumed, uninterrupted, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        interrupt(patched, where, save)
        fit(tmp_path / "backup")
    epochs, weights = fit(tmp_path / "backup", delete_checkpoint=False)
    assert epochs == list(range(resumed, EPOCHS))
    keras.tree.map_structure(np.testing.assert_array_equal, weights, uninterrupted)
    assert len(os.listdir(tmp_path / "backup")) == 2


def truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def empty(path):
    path.write_bytes(b"")


FILES = ("latest.weights.h5", "training_metadata.json", "generators.npz")
verify = pytest.mark.verify("resumes a training for each file and each damage")
DAMAGES = [
    pytest.param(name, damage, marks=() if (i + j) % 3 == 0 else verify)
    for i, name in enumerate(FILES)
    for j, damage in enumerate([truncate, zero, empty, os.unlink])
]


# Recorded warnings are raised anew, those that Keras' variables give numpy included.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_backup_falls_back_to_the_one_before(name, damage, uninterrupted, backups):
    last = max(backups.iterdir())
    if damage is truncate and name == "training_metadata.json":
        damage = empty  # it has fewer bytes than that
    damage(last / name)
    with pytest.warns(UserWarning, match=f"{last.name} .* is damaged"):
        epochs, weights = fit(backups)
    assert epochs == [EPOCHS - 1]
    keras.tree.map_structure(np.testing.assert_array_equal, weights, uninterrupted)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_training_begins_again_where_every_backup_is_damaged(uninterrupted, backups):
    for saved in backups.iterdir():
        truncate(saved / "latest.weights.h5")
    with pytest.warns(UserWarning, match="is damaged"):
        epochs, weights = fit(backups)
    assert epochs == list(range(EPOCHS))
    keras.tree.map_structure(np.testing.assert_array_equal, weights, uninterrupted)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_full_disk_does_not_end_the_training(uninterrupted, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        epochs, weights = fit(tmp_path / "backup", delete_checkpoint=False)
    assert epochs == list(range(EPOCHS))
    keras.tree.map_structure(np.testing.assert_array_equal, weights, uninterrupted)
    assert os.listdir(tmp_path / "backup") == []


def test_keras_own_callback_is_ahead_of_its_number_there(uninterrupted, tmp_path, monkeypatch):
    """Why there is a callback of ours: weights of three epochs, and two on the label."""
    keras_own = keras.callbacks.BackupAndRestore
    with monkeypatch.context() as patched, pytest.raises(Killed):
        interrupt(patched, (keras.Model, "save_weights"), True)
        fit(tmp_path / "backup", backup=keras_own)
    epochs, weights = fit(tmp_path / "backup", backup=keras_own)
    assert epochs == [2, 3]
    assert any(not np.array_equal(a, b) for a, b in zip(weights, uninterrupted, strict=True))


def test_backups_of_keras_own_callback_are_restored(uninterrupted, tmp_path):
    def kill(epoch, logs):
        if epoch == 2:
            raise Killed

    killer = keras.callbacks.LambdaCallback(on_epoch_begin=kill)
    with pytest.raises(Killed):
        fit(tmp_path / "backup", killer, backup=keras.callbacks.BackupAndRestore)
    epochs, weights = fit(tmp_path / "backup")
    assert epochs == [2, 3] and not (tmp_path / "backup").exists()
    assert [w.shape for w in weights] == [w.shape for w in uninterrupted]
