import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_compress.callbacks.accuracy_guard import AccuracyGuard  # noqa: E402
from keras_compress.callbacks.pruning import PruningCallback  # noqa: E402
from keras_compress.callbacks.quantization import QuantizationCallback  # noqa: E402
from keras_compress.compression.apply import compress, strip  # noqa: E402
from keras_compress.errors import InvalidArgumentError, UnknownNameError  # noqa: E402
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay  # noqa: E402
from keras_compress.spec import Pruning, Quantization  # noqa: E402
from keras_compress.wrappers.phase import Phase  # noqa: E402
from tests.fixtures.batches import batches  # noqa: E402

# These trainings are continued: a first `fit` ends before its schedule.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 8)).astype(np.float32)
Y = RNG.normal(size=(32, 4)).astype(np.float32)
STEPS = 4  # batches in an epoch
RAMP = PolynomialDecay(0.75, end_step=6 * STEPS, power=1, frequency=1)


class Scripted(keras.callbacks.Callback):
    """Puts a given metric into the logs of each epoch, as a validation would."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[epoch]


class Notes(keras.callbacks.Callback):
    """Notes the weights at the end of each epoch, and what the pruning callback says."""

    def __init__(self, pruning):
        super().__init__()
        self.pruning, self.weights, self.steps = pruning, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append([np.asarray(weight).copy() for weight in kernels(self.model)])
        self.steps.append(self.pruning.step)


def kernels(model):
    plain = strip(model) if any(hasattr(layer, "pruning") for layer in model.layers) else model
    return [layer.kernel for layer in plain.layers if hasattr(layer, "kernel")]


def make_model(wrap, eager=False, **kwargs):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(4, name="head"),
        ]
    )
    if wrap:
        model = compress(model, pruning=Pruning(), **kwargs)
    model.compile("sgd", "mse", jit_compile=False, run_eagerly=eager)
    return model


def fit(model, *callbacks, epochs, **kwargs):
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | kwargs
    return model.fit(batches(8, X, Y), callbacks=list(callbacks), **options).history


def run(values, wrap=True, order=("script", "pruning", "guard", "notes"), **arguments):
    model, pruning = make_model(wrap), PruningCallback(RAMP)
    guard = AccuracyGuard(**{"reference": 0.9, "tolerance": 0.02} | arguments)
    notes = Notes(pruning)
    known = {"script": Scripted(values), "pruning": pruning, "guard": guard, "notes": notes}
    history = fit(model, *(known[name] for name in order), epochs=len(values))
    return model, history, notes, guard


def assert_weights(model, expected):
    for kernel, wanted in zip(kernels(model), expected, strict=True):
        np.testing.assert_array_equal(kernel, wanted)


ORDERS = [("script", "pruning", "guard", "notes"), ("script", "guard", "pruning", "notes")]
verify = pytest.mark.verify("trains a network for each order and each kind of model")
either_model = pytest.mark.parametrize(
    "wrap", [True, pytest.param(False, marks=verify)], ids=["compressed", "plain"]
)
both_in_either_order = pytest.mark.parametrize(
    ("wrap", "order"),
    [
        (False, ORDERS[0]),
        (True, ORDERS[1]),
        pytest.param(True, ORDERS[0], marks=verify),
        pytest.param(False, ORDERS[1], marks=verify),
    ],
    ids=["plain-last", "compressed-first", "compressed-last", "plain-first"],
)


@both_in_either_order
def test_holds_the_sparsity_while_the_metric_is_low_and_goes_on_after(wrap, order):
    _, history, notes, _ = run([0.9, 0.8, 0.85, 0.89, 0.9, 0.9], wrap, order, patience=5)
    assert notes.steps == [4, 8, 8, 8, 12, 16]
    sparsity = [RAMP(step) for step in notes.steps]
    assert history["sparsity"] == pytest.approx(sparsity, abs=1 / 96)


@both_in_either_order
def test_goes_back_when_patience_ends(wrap, order):
    model, history, notes, _ = run([0.9, 0.9, 0.5, 0.5, 0.5, 0.5], wrap, order, patience=1)
    assert len(history["loss"]) == 4
    assert_weights(model, notes.weights[1])
    assert np.mean(kernels(model)[0] == 0) == pytest.approx(RAMP(8), abs=0.01)
    assert notes.pruning.step == 8


@either_model
def test_goes_back_when_training_ends_below(wrap):
    model, history, notes, _ = run([0.9, 0.9, 0.5, 0.5], wrap, patience=9)
    assert len(history["loss"]) == 4
    assert_weights(model, notes.weights[1])


def test_a_training_that_ends_well_keeps_its_last_weights():
    model, _, notes, _ = run([0.9, 0.5, 0.9])
    assert_weights(model, notes.weights[2])


def test_training_goes_on_from_where_it_went_back_to():
    model, _, notes, _ = run([0.9, 0.5, 0.5, 0.5], patience=1)
    pruning = PruningCallback(RAMP)
    fit(model, pruning, epochs=1)
    assert pruning.step == 2 * STEPS


def test_the_best_value_so_far_is_the_reference_where_none_is_given():
    *_, notes, guard = run([0.5, 0.8, 0.79, 0.7, 0.78], reference=None, patience=5)
    assert notes.steps == [4, 8, 12, 16, 16]
    assert guard.reference == 0.8


def test_a_loss_is_better_low():
    guard = AccuracyGuard("val_loss", reference=0.5, tolerance=0.1)
    assert [guard.is_good(value) for value in (0.2, 0.59, 0.7)] == [True, True, False]
    assert AccuracyGuard("val_auc").mode == "max"
    assert AccuracyGuard("val_auc", mode="min").mode == "min"


def test_before_the_first_good_epoch_compression_waits_without_end(caplog):
    with caplog.at_level("WARNING", logger="absl"):
        _, history, notes, _ = run([0.1, 0.2, 0.3, 0.4], patience=1)
    assert notes.steps == [4, 4, 4, 4]
    assert len(history["loss"]) == 4
    assert "no good state to restore" in caplog.text


def test_holds_quantization_and_takes_its_phase_back():
    quantization = Quantization(profile="generic_int8")
    model = make_model(True, eager=True, quantization=quantization)
    phases = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: phases.append(model.get_layer("head").phase)
    )
    callbacks = [
        Scripted([0.9, 0.5, 0.5, 0.9, 0.9, 0.5]),
        QuantizationCallback(begin_step=10),
        note,
        AccuracyGuard(reference=0.9),
    ]
    fit(model, *callbacks, epochs=6)
    assert phases == [Phase.OFF] * 4 + [Phase.LEARNING] * 2
    fit(model, Scripted([0.9, 0.5]), callbacks[1], note, AccuracyGuard(reference=0.9), epochs=2)
    assert model.get_layer("head").phase == Phase.LEARNING


def test_going_back_before_quantization_began_takes_it_out_again():
    quantization = Quantization(profile="generic_int8")
    model = make_model(True, eager=True, quantization=quantization)
    guard = AccuracyGuard(reference=0.9)
    fit(model, Scripted([0.9, 0.5]), QuantizationCallback(begin_step=6), guard, epochs=2)
    assert model.get_layer("head").phase == Phase.OFF
    np.testing.assert_allclose(model(X), strip(model)(X), atol=1e-5)


def test_epochs_without_validation_count_for_nothing():
    model = make_model(True)
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    pruning = PruningCallback(RAMP)
    guard = AccuracyGuard("val_mae", reference=0.0, tolerance=0.1)
    options = {"validation_data": batches(8, X, Y), "validation_freq": 2}
    history = fit(model, pruning, guard, epochs=4, **options)
    assert len(history["val_mae"]) == 2
    assert pruning.step == 2 * STEPS


def test_says_so_when_nothing_is_ever_validated(caplog):
    with caplog.at_level("WARNING", logger="absl"):
        fit(make_model(True, eager=True), AccuracyGuard(), epochs=1)
    assert "never saw val_accuracy: pass validation_data to fit" in caplog.text


@pytest.mark.parametrize("monitor", ["val_accurcy", "accurcy"])
def test_offers_the_nearest_metric(monitor):
    model = make_model(True)
    model.compile("sgd", "mse", metrics=["accuracy"], run_eagerly=True)
    with pytest.raises(UnknownNameError, match=f"Did you mean '{monitor[:-4]}uracy'"):
        fit(model, AccuracyGuard(monitor), epochs=1, validation_data=batches(8, X, Y))


class Killed(Exception):
    """Stands for a signal."""


class Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Killed


@either_model
def test_its_state_survives_a_restart(wrap, tmp_path):
    values = [0.9, 0.9, 0.5, 0.5, 0.5, 0.5]

    def train(*more):
        model, pruning = make_model(wrap), PruningCallback(RAMP)
        guard = AccuracyGuard(reference=0.9, patience=2, backup_dir=tmp_path / "guard")
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        notes = Notes(pruning)
        history = fit(
            model, Scripted(values), backup, guard, pruning, notes, *more, epochs=len(values)
        )
        return model, history, notes

    with pytest.raises(Killed):
        train(Kill(epoch=3))
    assert (tmp_path / "guard").exists()
    model, history, notes = train()
    assert notes.steps == [12, 8]
    assert len(history["loss"]) == 2
    assert np.mean(kernels(model)[0] == 0) == pytest.approx(RAMP(8), abs=0.01)
    assert notes.pruning.step == 8
    assert list((tmp_path / "guard").iterdir()) == []


def test_refuses_a_state_that_is_not_its_own(tmp_path):
    (tmp_path / "accuracy_guard.npz").write_bytes(b"no archive")
    with pytest.raises(InvalidArgumentError, match="cannot read. Delete it"):
        fit(make_model(True), AccuracyGuard(backup_dir=tmp_path), epochs=1)


def test_refuses_the_state_of_another_model(tmp_path):
    guard = AccuracyGuard(reference=0.9, backup_dir=tmp_path)
    with pytest.raises(Killed):
        fit(make_model(False, eager=True), Scripted([0.9, 0.9]), guard, Kill(epoch=1), epochs=2)
    with pytest.raises(InvalidArgumentError, match="another model"):
        fit(make_model(True), guard, epochs=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tolerance": -0.1},
        {"tolerance": float("nan")},
        {"patience": -1},
        {"patience": 1.5},
        {"mode": "best"},
        {"reference": float("inf")},
    ],
)
def test_refuses_arguments_out_of_their_range(arguments):
    (name,) = arguments
    with pytest.raises(InvalidArgumentError, match=f"^{name} must .*Received: {name}="):
        AccuracyGuard(**arguments)
