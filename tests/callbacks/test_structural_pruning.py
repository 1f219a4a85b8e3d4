"""structural_pruning.py: channels stay at zero in fit and can be removed afterwards."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnsupportedModelError
from keras_compress.shrinking.channel_masks import ChannelMasks
from keras_compress.shrinking.dependency_graph import DependencyGraph
from tests.fixtures.batches import batches

# These trainings are continued: a first `fit` ends before its schedule.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

STEPS = 4  # batches in an epoch


def network(traced=False):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(16, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
    y = layers.Conv2D(16, 3, padding="same", name="branch")(x)
    x = layers.Add()([x, y])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    # Tracing takes longer than a few steps.
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False, run_eagerly=not traced)
    return model


def fit(model, *callbacks, epochs=3, **options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6, 6, 2)), rng.normal(size=(32, 3))
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | options
    return model.fit(batches(8, x, y), callbacks=list(callbacks), **options).history


def schedule(end_step=8):
    return kc.PolynomialDecay(final_sparsity=0.5, end_step=end_step, frequency=2)


def macs(model):
    return sum(DependencyGraph(model).macs().values())


@pytest.fixture
def model():
    return network()


def test_masked_channels_are_removed_with_the_outputs_unchanged():
    model = network(traced=True)
    history = fit(model, kc.StructuralPruningCallback(schedule(), criterion="l1_norm"))
    assert history["macs"][-1] <= 0.5 < history["macs"][0] + 0.3
    smaller = kc.remove_zeros(model)
    assert macs(smaller) <= 0.5 * macs(model)
    x = np.random.default_rng(1).normal(size=(4, 6, 6, 2))
    np.testing.assert_allclose(smaller(x), model(x), rtol=1e-4, atol=1e-5)


def test_masks_only_grow_and_go_on_after_saving(model, tmp_path):
    callback = kc.StructuralPruningCallback(schedule(end_step=4))
    fit(model, callback, epochs=1)
    gone = callback._masks.gone
    model.save(tmp_path / "half.keras")
    again = keras.models.load_model(tmp_path / "half.keras")
    more = kc.StructuralPruningCallback(kc.ConstantSparsity(0.7))
    fit(again, more, epochs=1)
    assert np.all(more._masks.gone[gone]) and more._masks.gone.sum() > gone.sum()


def test_data_driven_criteria_see_the_data(model):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(16, 6, 6, 2)).astype("float32"), rng.normal(size=(16, 3))
    callback = kc.StructuralPruningCallback(schedule(), "parameters", "taylor", data=data)
    assert fit(model, callback)["parameters"][-1] <= 0.5


def masked(model):
    return ChannelMasks(DependencyGraph(model)).zero_groups()


def test_an_update_at_step_0_comes_before_the_first_batch(model):
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(masked(model).sum())
    )
    fit(model, kc.StructuralPruningCallback(kc.ConstantSparsity(0.5)), note, epochs=1)
    assert seen[0] > 0 and len(set(seen)) == 1


def test_logs_of_batches_and_epochs_hold_the_share_that_is_left(model):
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["channels"])
    )
    callback = kc.StructuralPruningCallback(schedule(), budget="channels")
    history = fit(model, callback, note)
    assert history["channels"] == [seen[3], seen[7], seen[11]]
    assert seen == sorted(seen, reverse=True)
    assert callback.remaining == seen[-1] < 0.55


def test_a_second_fit_and_a_new_optimizer_go_on_counting(model):
    callback = kc.StructuralPruningCallback(schedule())
    fit(model, callback, epochs=1)
    model.compile("adam", "mse", run_eagerly=True)
    history = fit(model, callback, epochs=1)
    assert callback.step == 2 * STEPS
    assert history["macs"][-1] <= 0.5


def test_training_that_is_restored_goes_on_where_it_was(tmp_path):
    whole = network()
    fit(whole, kc.StructuralPruningCallback(schedule(), "channels"))

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)

    fit(network(), kc.StructuralPruningCallback(schedule(), "channels"), backup(), epochs=1)
    resumed, callback = network(), kc.StructuralPruningCallback(schedule(), "channels")
    fit(resumed, callback, backup())
    assert callback.step == 3 * STEPS
    np.testing.assert_array_equal(masked(resumed), masked(whole))


def test_a_loaded_model_goes_on_from_the_step_that_is_given(model, tmp_path):
    fit(model, kc.StructuralPruningCallback(schedule(), "channels"), epochs=1)
    model.save(tmp_path / "half.keras")
    again = keras.models.load_model(tmp_path / "half.keras")
    callback = kc.StructuralPruningCallback(schedule(), "channels", initial_step=STEPS)
    history = fit(again, callback, epochs=1)
    assert callback.step == 2 * STEPS
    assert history["channels"][-1] <= 0.55


class Scripted(keras.callbacks.Callback):
    """Puts a given metric into the logs of each epoch, as a validation would."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[epoch]


def test_the_guard_holds_the_share_while_the_metric_is_low(model):
    guard = kc.AccuracyGuard(reference=0.9, tolerance=0.02, patience=5)
    callback = kc.StructuralPruningCallback(schedule(end_step=16), "channels")
    history = fit(model, Scripted([0.9, 0.5, 0.5, 0.9]), callback, guard, epochs=4)
    share = history["channels"]
    assert callback.step == 2 * STEPS
    assert share[0] > share[1] == share[2] == share[3]


@pytest.mark.parametrize("guard_first", [True, False])
def test_the_guard_brings_channels_back(model, guard_first):
    first = {}
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: first.setdefault("weights", model.get_weights())
    )
    guard = kc.AccuracyGuard(reference=0.9, tolerance=0.02, patience=0)
    callbacks = [kc.StructuralPruningCallback(schedule(), "channels"), guard]
    fit(model, Scripted([0.9, 0.5]), *(callbacks[::-1] if guard_first else callbacks), note)
    for weight, before in zip(model.get_weights(), first["weights"], strict=True):
        np.testing.assert_array_equal(weight, before)


def test_several_steps_an_execution_update_what_fell_between(model):
    model.compile("sgd", "mse", jit_compile=False, steps_per_execution=4)
    ramp = kc.PolynomialDecay(0.5, power=1, end_step=6, frequency=3)
    history = fit(model, kc.StructuralPruningCallback(ramp, "channels"), epochs=2)
    assert history["channels"] == pytest.approx([1 - ramp(3), 1 - ramp(6)], abs=1 / 32)


def test_an_average_over_weights_ends_masked(model):
    model.compile(keras.optimizers.SGD(use_ema=True), "mse", jit_compile=False)
    callback = kc.StructuralPruningCallback(kc.OneShot(0.5, step=3), "channels")
    fit(model, callback, epochs=2)
    assert masked(model).sum() > 0


def test_tells_when_training_ends_before_the_schedule(model, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        fit(model, kc.StructuralPruningCallback(schedule(end_step=100)), epochs=1)
    assert "step 4, before the last mask of PolynomialDecay at step 100: macs is " in caplog.text


def test_a_model_that_is_not_built_is_refused():
    model = keras.Sequential([layers.Dense(4), layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(UnsupportedModelError, match="not built"):
        fit(model, kc.StructuralPruningCallback(schedule()))


@pytest.mark.parametrize(
    "arguments", [{"schedule": 0.5}, {"budget": "flops"}, {"initial_step": -1}]
)
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(InvalidArgumentError, match="Received"):
        kc.StructuralPruningCallback(**{"schedule": schedule(), **arguments})
