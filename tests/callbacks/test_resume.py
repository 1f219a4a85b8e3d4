"""A training killed in mid-schedule and resumed ends like an uninterrupted one."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_compress.callbacks.pruning import PruningCallback  # noqa: E402
from keras_compress.compression.apply import compress  # noqa: E402
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay  # noqa: E402
from keras_compress.spec import Pruning  # noqa: E402
from keras_compress.wrappers.compressed_layer import CompressedLayer  # noqa: E402

pytestmark = pytest.mark.verify("starts trainings in processes of their own, which are killed")

EPOCHS, BATCHES = 5, 6
KILLED_IN_EPOCH = 2
ROOT = Path(__file__).resolve().parents[2]

# Run as a script, this file trains and is killed.
CHILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("resume", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.train_until_killed(sys.argv[2], sys.argv[3] == "compressed")
"""


def make_model(compressed):
    keras.utils.set_random_seed(11)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(8, name="head"),
        ]
    )
    if compressed:
        model = compress(model, pruning=Pruning())
    model.compile("adam", "mse", jit_compile=False)
    return model


def fit(model, *callbacks, initial_epoch=0):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8 * BATCHES, 6, 6, 4)).astype(np.float32)
    y = rng.normal(size=(8 * BATCHES, 8)).astype(np.float32)
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(x, y, epochs=EPOCHS, initial_epoch=initial_epoch, callbacks=callbacks, **options)


def pruning_callback(**kwargs):
    # Masks are not updated at the step of the kill or at the end of an epoch.
    return PruningCallback(PolynomialDecay(0.8, begin_step=3, end_step=26, frequency=4), **kwargs)


def backup(folder, place):
    return keras.callbacks.BackupAndRestore(f"{folder}/backup_{place}")


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == KILLED_IN_EPOCH and batch == 3:
            signal.raise_signal(signal.SIGKILL)


def train_until_killed(folder, compressed):
    checkpoint = keras.callbacks.ModelCheckpoint(f"{folder}/model.keras")
    callbacks = backup(folder, "before"), pruning_callback(), backup(folder, "after")
    fit(make_model(compressed), *callbacks, checkpoint, Kill())


def outcome(model, callback):
    return callback.step, callback.sparsity, [mask_of(layer) for layer in model.layers[-4:]]


def mask_of(layer):
    if isinstance(layer, CompressedLayer):
        return [np.asarray(kernel.mask) != 0 for kernel in layer.prunable_kernels]
    return [np.asarray(layer.kernel) != 0] if hasattr(layer, "kernel") else []


def assert_same(found, wanted):
    assert found[:2] == wanted[:2]
    assert sum(map(len, wanted[2])) == 2
    keras.tree.map_structure(np.testing.assert_array_equal, found[2], wanted[2])


@pytest.fixture(scope="module", params=["plain", "compressed"])
def killed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-W", "ignore", "-c", CHILD, __file__, str(folder), request.param]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert child.returncode == -signal.SIGKILL, child.stderr
    return folder, request.param == "compressed"


@pytest.fixture(scope="module")
def uninterrupted(killed):
    model, callback = make_model(killed[1]), pruning_callback()
    fit(model, callback)
    assert callback.step == EPOCHS * BATCHES
    assert callback.sparsity == pytest.approx(0.8, abs=0.01)
    return outcome(model, callback)


@pytest.mark.parametrize("place", ["before", "after"])
def test_backup_and_restore_goes_on_wherever_it_is_listed(killed, uninterrupted, place):
    folder, compressed = killed
    model, callback = make_model(compressed), pruning_callback()
    callbacks = [backup(folder, place), callback]
    epochs = []
    callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=lambda e, _: epochs.append(e)))
    fit(model, *(callbacks if place == "before" else [callback, callbacks[0], callbacks[2]]))
    assert epochs == list(range(KILLED_IN_EPOCH, EPOCHS))
    assert_same(outcome(model, callback), uninterrupted)


def test_a_saved_model_goes_on(killed, uninterrupted):
    folder, compressed = killed
    model = keras.models.load_model(folder / "model.keras")
    # A plain model cannot store the step, so the user passes it.
    callback = pruning_callback(initial_step=0 if compressed else KILLED_IN_EPOCH * BATCHES)
    fit(model, callback, initial_epoch=KILLED_IN_EPOCH)
    assert_same(outcome(model, callback), uninterrupted)
