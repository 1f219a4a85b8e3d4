"""Keras' callbacks that choose an epoch choose among compressed ones, in any order of the list."""

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.callbacks.other_callbacks import HeldBack
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.errors import CompressionError
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.phase import Phase, PhasedLayer
from tests.fixtures.batches import batches
from tests.fixtures.tables import quickly

# Some of these trainings end before their schedules.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 8)).astype(np.float32)
Y = RNG.normal(size=(16, 4)).astype(np.float32)
STEPS = 2  # batches in an epoch
EPOCHS = 4
TARGET = 2  # the first epoch that ends with the model compressed
END = (TARGET + 1) * STEPS - 1


def network():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, name="hidden"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Dense(4, name="head"),
        ]
    )


def plain_pruning():
    return network(), kc.PruningCallback(kc.PolynomialDecay(0.75, end_step=END, frequency=4))


def pruning():
    model, callback = plain_pruning()
    return kc.compress(model, pruning=kc.Pruning()), callback


def channels():
    schedule = kc.PolynomialDecay(0.5, end_step=END, frequency=4)
    return network(), kc.StructuralPruningCallback(schedule, "channels")


def quantization():
    callback = kc.QuantizationCallback(begin_step=2, freeze_step=END)
    return kc.compress(network(), quantization="generic_int8"), callback


def clustering():
    callback = kc.ClusteringCallback(begin_step=2, freeze_step=END)
    return kc.compress(network(), clustering=kc.Clustering(clusters=4, per_channel=False)), callback


KINDS = [plain_pruning, pruning, channels, quantization, clustering]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
WHY = "trains a network for each kind of compression and each order"
verify = pytest.mark.verify(WHY)
two_kinds = pytest.mark.parametrize(
    "kind", quickly(KINDS, WHY, every=3), ids=lambda kind: kind.__name__
)


class Scripted(keras.callbacks.Callback):
    """Puts metrics into the logs that get worse and worse, as those of a pruned model do."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_score"] = logs["score"] = float(epoch)


class Notes(keras.callbacks.Callback):
    """Notes the weights of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


class Restore(keras.callbacks.Callback):
    """Restores the weights of the first epoch after the training, as a user's callback may."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        self.model.set_weights(self.weights)


def fit(model, *callbacks, epochs=EPOCHS, optimizer="sgd", traced=False, **options):
    """Train; what callbacks do to each other is the same whether steps are traced or not."""
    if not model.compiled:
        model.compile(optimizer, "mse", jit_compile=False, run_eagerly=not traced)
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | options
    return model.fit(batches(8, X, Y), callbacks=list(callbacks), **options).history


def stopping(monitor="val_score", **options):
    options = {"patience": 9, "restore_best_weights": True} | options
    return keras.callbacks.EarlyStopping(monitor, mode="min", **options)


def saving(path, monitor="val_score"):
    return keras.callbacks.ModelCheckpoint(path, monitor, mode="min", save_best_only=True)


def assert_trained_like(model, weights):
    """Compare weights, but not the count of steps, which goes on after the best epoch."""
    counters = {id(c) for layer in compressed_layers(model) for c in (layer.step, layer.origin)}
    for weight, value in zip(model.weights, weights, strict=True):
        if id(weight) not in counters:
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value, weight.path)


@each_kind
@pytest.mark.parametrize(
    ("place", "traced"),
    [(0, False), *(pytest.param(place, True, marks=verify) for place in range(3))],
)
def test_the_best_epoch_is_the_best_of_the_compressed_ones(kind, place, traced, tmp_path):
    model, compression = kind()
    others = [stopping(), saving(tmp_path / "best.keras")]
    others.insert(place, compression)
    notes = Notes()
    fit(model, Scripted(), *others, notes, traced=traced)
    # The masks of channels of a plain model are set to zero before, not after, a batch's end.
    assert_trained_like(model, notes.weights[TARGET])
    assert_trained_like(kc.load_model(tmp_path / "best.keras"), notes.weights[TARGET])


@pytest.mark.parametrize("kind", [plain_pruning, pruning])
@pytest.mark.parametrize(
    "order", quickly(list(itertools.permutations([2, 0, 1])), WHY, first=1), ids=str
)
def test_the_model_is_as_sparse_as_the_logs_say(kind, order):
    model, compression = kind()
    callbacks = [compression, stopping("val_loss"), keras.callbacks.ReduceLROnPlateau()]
    history = fit(model, *[callbacks[i] for i in order], validation_data=batches(8, X, Y))
    kernels = [layer.kernel for layer in kc.strip(model).layers if "Dense" in str(type(layer))]
    zeros = [np.mean(keras.ops.convert_to_numpy(kernel) == 0) for kernel in kernels]
    assert zeros == [history["sparsity"][-1]] * 2 == [0.75] * 2


@two_kinds
def test_a_metric_of_the_training_counts_from_the_first_whole_epoch_on(kind):
    model, compression = kind()
    notes = Notes()
    fit(model, Scripted(), stopping("score"), compression, notes, epochs=TARGET + 3)
    assert_trained_like(model, notes.weights[TARGET + 1])


def test_every_callback_must_have_reached_its_target():
    model = kc.compress(network(), pruning=kc.Pruning(), quantization="generic_int8")
    early = kc.PruningCallback(kc.OneShot(0.5, step=1))
    late = kc.QuantizationCallback(begin_step=2, freeze_step=END)
    notes = Notes()
    fit(model, Scripted(), early, stopping(), late, notes, traced=True)
    assert_trained_like(model, notes.weights[TARGET])
    phased = [layer for layer in all_layers(model) if isinstance(layer, PhasedLayer)]
    assert {layer.phase for layer in phased if layer.quantizes} == {Phase.FROZEN}


def test_training_does_not_stop_before_the_target():
    model, compression = pruning()
    early = stopping(patience=1)
    history = fit(model, Scripted(), early, compression)
    assert len(history["loss"]) == TARGET + 2 == early.stopped_epoch + 1


def test_the_learning_rate_is_not_reduced_before_the_target():
    model, compression = pruning()
    plateau = keras.callbacks.ReduceLROnPlateau("val_score", patience=1, mode="min", factor=0.5)
    optimizer = keras.optimizers.SGD(1.0)
    history = fit(model, Scripted(), plateau, compression, optimizer=optimizer, epochs=TARGET + 4)
    assert history["learning_rate"] == [1.0] * (TARGET + 2) + [0.5, 0.25]


def test_a_checkpoint_of_batches_waits_too(tmp_path):
    model, compression = pruning()
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.keras", "loss", save_best_only=True, save_freq=STEPS
    )
    fit(model, checkpoint, compression)
    first = min(int(path.stem) for path in tmp_path.iterdir())
    assert first == TARGET + 2  # files count epochs from one


def test_a_checkpoint_of_every_epoch_does_not_wait(tmp_path):
    model, compression = pruning()
    fit(model, keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"), compression)
    assert len(list(tmp_path.iterdir())) == EPOCHS


def test_tells_that_no_epoch_was_compressed(tmp_path, caplog):
    model, compression = pruning()
    fit(model, Scripted(), saving(tmp_path / "best.keras"), compression, epochs=TARGET)
    assert not list(tmp_path.iterdir())
    assert "ModelCheckpoint did nothing in this training" in caplog.text
    assert "which PruningCallback did not" in caplog.text


def test_a_second_training_of_a_compressed_model_chooses_among_all_epochs():
    model, compression = pruning()
    fit(model, compression)
    notes = Notes()
    fit(model, Scripted(), stopping(), compression, notes, epochs=2)
    assert_trained_like(model, notes.weights[0])


def test_the_users_callbacks_are_not_changed():
    model, compression = pruning()
    callbacks = [early := stopping(), compression]
    fit(model, Scripted(), *callbacks)
    assert callbacks == [early, compression] and not isinstance(callbacks[0], HeldBack)
    assert early.best == TARGET
    other, notes = network(), Notes()
    fit(other, Scripted(), early, notes)
    assert_trained_like(other, notes.weights[0])


def test_a_list_of_callbacks_in_a_loop_of_ones_own_is_held_back_each_time():
    model, compression = pruning()
    model.compile("sgd", "mse", run_eagerly=True)
    callbacks = keras.callbacks.CallbackList([Scripted(), stopping(), compression], model=model)
    for _ in range(2):
        callbacks.on_train_begin()
        for epoch in range(EPOCHS):
            callbacks.on_epoch_begin(epoch)
            for batch in range(STEPS):
                callbacks.on_train_batch_begin(batch)
                model.train_on_batch(X[:8], Y[:8])
                callbacks.on_train_batch_end(batch)
            callbacks.on_epoch_end(epoch, {})
        callbacks.on_train_end()
        assert sum(isinstance(callback, HeldBack) for callback in callbacks.callbacks) == 1
    assert compression.sparsity == 0.75


@two_kinds
@pytest.mark.parametrize("last", [False, True], ids=["before", "after"])
def test_refuses_a_result_that_is_not_what_the_logs_say(kind, last):
    model, compression = kind()
    callbacks = [compression, Restore()] if last else [Restore(), compression]
    if not last and kind in (plain_pruning, channels):
        # The callback masks what was restored.
        fit(model, *callbacks, epochs=TARGET + 1)
    else:
        with pytest.raises(CompressionError, match="compare and restore only|target_reached"):
            fit(model, *callbacks, epochs=TARGET + 1)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize(
    ("swap_first", "traced"),
    [(True, False), *(pytest.param(first, True, marks=verify) for first in (True, False))],
)
def test_averages_that_are_validated_and_saved_are_masked(
    swap_on_epoch, swap_first, traced, tmp_path
):
    model, compression = plain_pruning()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
    callbacks = [swap, compression] if swap_first else [compression, swap]
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "last.keras")
    optimizer = keras.optimizers.SGD(use_ema=True, ema_momentum=0.9)
    options = {"optimizer": optimizer, "traced": traced, "validation_data": batches(8, X, Y)}
    history = fit(model, *callbacks, checkpoint, **options)
    for trained in (model, keras.models.load_model(tmp_path / "last.keras")):
        kernel = keras.ops.convert_to_numpy(trained.get_layer("hidden").kernel)
        assert np.mean(kernel == 0) == history["sparsity"][-1] == 0.75


PAGE = Path(__file__).resolve().parents[2] / "docs" / "keras_callbacks.md"
COLUMNS = {
    "pruning": pruning,
    "pruning in place": plain_pruning,
    "channels": channels,
    "quantization": quantization,
    "clustering": clustering,
}


def cells():
    """Read the table of the docs: (row, column, verdict), rows and columns by their headings."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    return [
        (row[0], column, verdict)
        for row in rows[2:]
        for column, verdict in zip(rows[0][1:], row[1:], strict=True)
    ]


def make_callback(row, folder):
    """Return the callback of a row of the table."""
    callbacks = keras.callbacks
    return {
        "EarlyStopping(restore_best_weights=True)": stopping,
        "ModelCheckpoint(save_best_only=True)": lambda: saving(folder / "best.keras"),
        "ReduceLROnPlateau": lambda: callbacks.ReduceLROnPlateau("val_score", mode="min"),
        "ModelCheckpoint": lambda: callbacks.ModelCheckpoint(folder / "last.keras"),
        "BackupAndRestore": lambda: callbacks.BackupAndRestore(folder / "backup"),
        "LearningRateScheduler": lambda: callbacks.LearningRateScheduler(lambda epoch: 0.01),
        "SwapEMAWeights": lambda: callbacks.SwapEMAWeights(swap_on_epoch=True),
        "CSVLogger": lambda: callbacks.CSVLogger(folder / "log.csv"),
        "LambdaCallback": lambda: callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        "TerminateOnNaN": callbacks.TerminateOnNaN,
    }[row]()


def state(model):
    """Return what compression made of a model: zeros, sizes of codebooks and phases."""
    dense = [layer for layer in kc.strip(model).layers if isinstance(layer, keras.layers.Dense)]
    kernels = [keras.ops.convert_to_numpy(layer.kernel) for layer in dense]
    phased = [layer for layer in all_layers(model) if isinstance(layer, PhasedLayer)]
    return {
        "zeros": [int(np.sum(kernel == 0)) for kernel in kernels],
        "values": [len(np.unique(kernel)) for kernel in kernels],
        "phases": [int(layer.phase) for layer in phased],
    }


def assert_compressed(column, model, history):
    """Compare a model with the last logs and with what its callback was told to do."""
    of_model = state(model)
    if column.startswith("pruning"):
        assert of_model["zeros"] == [0.75 * 128, 0.75 * 64]
        assert history["sparsity"][-1] == 0.75
    elif column == "channels":
        assert of_model["zeros"][0] >= 8 * (1 - history["channels"][-1]) * 16
    elif column == "quantization":
        assert set(of_model["phases"]) == {Phase.FROZEN}
    else:
        assert max(of_model["values"]) <= 4


def test_the_table_of_the_docs_has_each_kind_of_compression():
    assert {column for _, column, _ in cells()} == set(COLUMNS)
    assert {verdict for _, _, verdict in cells()} == {"works", "waits", "masked"}


def _in_full(rows):
    """Mark cells: some are tested quickly, all of them traced in `make verify`."""
    verify = pytest.mark.verify("trains 50 networks")
    cases = [(*cell, index % 2) for index, cell in enumerate(rows)]
    quick = [pytest.param(*case, False, id="-".join(case[:3])) for case in cases[::7]]
    return quick + [
        pytest.param(*case, True, id="-".join((*case[:3], "traced")), marks=verify)
        for case in cases
    ]


@pytest.mark.parametrize(("row", "column", "verdict", "first", "traced"), _in_full(cells()))
def test_each_cell_of_the_table(row, column, verdict, first, traced, tmp_path):
    model, compression = COLUMNS[column]()
    other = make_callback(row, tmp_path)
    callbacks = [other, compression] if first else [compression, other]
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "saved.keras")
    average = row == "SwapEMAWeights"
    optimizer = keras.optimizers.SGD(use_ema=average, ema_momentum=0.9)
    options = {"optimizer": optimizer, "traced": traced, "validation_data": batches(8, X, Y)}
    history = fit(model, Scripted(), *callbacks, checkpoint, **options)
    assert len(history["loss"]) == EPOCHS
    assert_compressed(column, model, history)
    saved = kc.load_model(tmp_path / "saved.keras")
    assert_compressed(column, saved, history)
    if verdict == "waits":
        assert other.best == TARGET
    if verdict == "masked":
        assert state(saved)["zeros"][0] == state(model)["zeros"][0] > 0
