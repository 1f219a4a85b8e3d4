"""observation.py: criteria get gradients and inputs in `fit`; other steps are unchanged."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_compress as kc
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.ranking import layer_mask
from tests.fixtures.batches import batches

# These trainings are continued: a first `fit` ends before its schedule.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype(np.float32)
Y = RNG.normal(size=(32, 3)).astype(np.float32)
STEPS = 4  # batches in an epoch
RATE = 0.05
GRADIENT_CRITERIA = ("movement", "taylor", "snip")
verify = pytest.mark.verify("trains a network for each criterion, plain and compressed")
either_model = pytest.mark.parametrize(
    "wrap", [True, pytest.param(False, marks=verify)], ids=["compressed", "plain"]
)
CASES = [
    pytest.param(criterion, wrap, marks=verify if (i + wrap) % 2 else ())
    for i, criterion in enumerate(GRADIENT_CRITERIA)
    for wrap in (False, True)
]


def network(wrap=False, criterion="magnitude", scope="layer"):
    keras.utils.set_random_seed(4)
    parts = [layers.Dense(8, activation="tanh", name="hidden"), layers.Dense(3, name="head")]
    model = keras.Sequential([keras.Input((6,)), *parts])
    pruning = kc.Pruning(criterion=criterion, scope=scope)
    model = kc.compress(model, pruning=pruning) if wrap else model
    model.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=False)
    return model


def callback(schedule, wrap, criterion, **options):
    pruning = None if wrap else kc.Pruning(criterion=criterion)
    return kc.PruningCallback(schedule, pruning, **options)


def fit(model, *callbacks, epochs=1, **options):
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | options
    return model.fit(batches(8, X, Y), callbacks=list(callbacks), **options).history


def kernel(model):
    return compressed_layers(model)[0].prunable_kernels[0].variable


def masks(model, wrap):
    if wrap:
        wrappers = compressed_layers(model)
        return [np.asarray(w.prunable_kernels[0].mask) != 0 for w in wrappers]
    return [np.asarray(layer.kernel) != 0 for layer in model.layers]


def oracle(criterion, steps, sparsity, first=0):
    """Train by hand, and prune by the formula on what the last steps showed."""
    model = network()
    kernels = [layer.kernel for layer in model.layers]
    movement, squares, sums = ([np.zeros(k.shape) for k in kernels] for _ in range(3))
    for step in range(steps):
        rows = slice(step % STEPS * 8, step % STEPS * 8 + 8)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X[rows]) - Y[rows]) ** 2)
        variables = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(loss, variables)
        for index, kernel in enumerate(kernels):
            w, g = np.asarray(kernel), np.asarray(gradients[2 * index])
            movement[index] -= w * g * (step >= first)
            squares[index] += (w * g) ** 2 * (step >= first)
            sums[index] += g * (step >= first)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(RATE * gradient)
    snip = [np.abs(np.asarray(k) * s) for k, s in zip(kernels, sums, strict=True)]
    scores = {"movement": movement, "taylor": squares, "snip": snip}[criterion]
    # A mask ranks in the deployed layout: outputs first.
    return [layer_mask(s.T.ravel(), sparsity).reshape(s.T.shape).T for s in scores]


@pytest.mark.parametrize(("criterion", "wrap"), CASES)
def test_zeros_are_those_of_a_training_by_hand(criterion, wrap):
    model = network(wrap, criterion)
    schedule = kc.OneShot(0.5, step=6)
    fit(model, callback(schedule, wrap, criterion, observed_steps=4), epochs=2)
    for found, expected in zip(masks(model, wrap), oracle(criterion, 6, 0.5, 2), strict=True):
        np.testing.assert_array_equal(found, expected)


@either_model
def test_wanda_has_the_norms_of_the_inputs(wrap):
    model = network(wrap, "wanda")
    weights = np.asarray(kernel(model) if wrap else model.layers[0].kernel)
    model.optimizer.learning_rate = 0.0
    x = X * np.array([10, 1, 1, 1, 1, 0.1], np.float32)
    prune = callback(kc.OneShot(0.5, step=4), wrap, "wanda", observed_steps=4)
    model.fit(batches(8, x, Y), epochs=2, shuffle=False, verbose=0, callbacks=[prune])
    scores = np.abs(weights) * np.linalg.norm(x, axis=0)[:, None]
    expected = layer_mask(scores.T.ravel(), 0.5).reshape(8, 6).T
    np.testing.assert_array_equal(masks(model, wrap)[0], expected)


def test_wanda_sums_over_the_positions_of_a_convolution():
    conv = layers.Conv2D(4, 3, name="conv")
    model = keras.Sequential([keras.Input((5, 5, 4)), conv, layers.Flatten(), layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    x = RNG.normal(size=(32, 5, 5, 4)) * [1, 10, 0.1, 1]
    weights = np.asarray(conv.kernel)
    spec = {"conv": kc.Pruning(criterion="wanda", pattern="2:4")}
    prune = kc.PruningCallback(kc.OneShot(0.5, step=4), spec, observed_steps=4)
    model.fit(batches(8, x, Y), epochs=2, shuffle=False, verbose=0, callbacks=[prune])
    scores = np.abs(weights) * np.sqrt(np.square(x).sum(axis=(0, 1, 2)))[:, None]
    place_among_four = np.argsort(np.argsort(scores, axis=2), axis=2)
    np.testing.assert_array_equal(np.asarray(conv.kernel) != 0, place_among_four >= 2)


class CountedLoss(keras.losses.MeanSquaredError):
    """Counts how often a step is traced."""

    traces = 0

    def call(self, y_true, y_pred):
        self.traces += 1
        return super().call(y_true, y_pred)


@either_model
def test_steps_are_traced_once_with_sums_and_once_without(wrap):
    model, loss = network(wrap, "taylor"), CountedLoss()
    model.compile("sgd", loss, jit_compile=False)
    functions = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: functions.append(model.train_function)
    )
    ramp = kc.PolynomialDecay(0.8, begin_step=8, end_step=32, frequency=8)
    fit(model, callback(ramp, wrap, "taylor", observed_steps=2), note, epochs=10)
    assert loss.traces == 2
    ordinary = functions[0]
    observed = [step for step, function in enumerate(functions) if function is not ordinary]
    assert observed == [6, 7, 14, 15, 22, 23, 30, 31]
    assert len(set(map(id, functions))) == 2


@either_model
def test_a_criterion_of_weights_alone_leaves_the_train_function_alone(wrap):
    model, loss = network(wrap), CountedLoss()
    model.compile("sgd", loss, jit_compile=False)
    functions = set()
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: functions.add(id(model.train_function))
    )
    ramp = kc.PolynomialDecay(0.8, end_step=12, frequency=4)
    fit(model, kc.PruningCallback(ramp), note, epochs=4)
    assert loss.traces == len(functions) == 1


@either_model
def test_observed_steps_train_as_others_do(wrap):
    results = []
    for criterion in ("magnitude", "snip"):
        model = network(wrap, criterion)
        if wrap:
            for wrapper in compressed_layers(model):
                mask = wrapper.prunable_kernels[0].mask
                mask.assign(np.random.default_rng(1).integers(0, 2, mask.shape))
        fit(model, callback(kc.OneShot(0.5, step=5), wrap, criterion, observed_steps=4))
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_masked_weight_of_a_compressed_model_has_its_own_gradient():
    model = network(True, "snip")
    mask = compressed_layers(model)[0].prunable_kernels[0].mask
    first_half = np.arange(mask.shape[0])[:, None] < mask.shape[0] // 2
    mask.assign(np.broadcast_to(~first_half, mask.shape))
    fit(model, kc.PruningCallback(kc.OneShot(0.5, step=4), observed_steps=4), epochs=2)
    assert masks(model, True)[0][:3].any(), "weights whose gradients are large come back"


def test_an_update_waits_until_steps_were_observed():
    history = fit(network(), callback(kc.OneShot(0.5), False, "snip", observed_steps=6), epochs=2)
    assert history["sparsity"] == [0.0, 0.5]


def test_an_update_that_waits_is_made_up_for_after_a_restart(tmp_path):
    ramp = kc.PolynomialDecay(0.75, begin_step=4, initial_sparsity=0.25, end_step=6, frequency=4)
    model = network(True, "snip")
    for observed_steps, sparsity in [(4, 0.25), (8, 0.25), (2, 0.75)]:
        callback = kc.PruningCallback(ramp, observed_steps=observed_steps)
        assert fit(model, callback)["sparsity"] == [pytest.approx(sparsity, abs=0.02)]
        model.save(tmp_path / "model.keras")
        model = kc.load_model(tmp_path / "model.keras")


def test_a_frequency_below_the_observed_steps_is_followed():
    model = network()
    ramp = kc.PolynomialDecay(0.8, begin_step=8, end_step=16, frequency=2)
    history = fit(model, callback(ramp, False, "movement", observed_steps=6), epochs=5)
    assert history["sparsity"][-1] == pytest.approx(0.8, abs=0.03)


def test_movement_never_regrows_in_a_plain_model():
    model, seen = network(), []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(masks(model, False)[0])
    )
    ramp = kc.PolynomialDecay(0.8, begin_step=4, end_step=16, frequency=4)
    fit(model, callback(ramp, False, "movement", observed_steps=4), note, epochs=5)
    assert not any(np.any(after & ~before) for before, after in zip(seen, seen[1:], strict=False))


def test_others_may_make_the_train_function_anew_meanwhile():
    model = kc.compress(
        keras.Sequential([keras.Input((6,)), layers.Dense(3)]),
        pruning=kc.Pruning(criterion="snip"),
        quantization="generic_int8",
    )
    model.compile("sgd", "mse", jit_compile=False)
    prune = kc.PruningCallback(kc.OneShot(0.5, step=6), observed_steps=4)
    history = fit(model, prune, kc.QuantizationCallback(begin_step=4), epochs=4)
    assert history["sparsity"][-1] == 0.5


def test_a_validation_in_the_window_is_traced_without_sums():
    model = network()
    prune = callback(kc.OneShot(0.5, step=6), False, "wanda", observed_steps=6)
    fit(model, prune, epochs=3, validation_data=batches(8, X, Y))
    assert "call" not in vars(model.layers[0]) and "apply" not in vars(model.optimizer)


@pytest.mark.parametrize("steps", [4, pytest.param(1, marks=verify)])
def test_several_steps_an_execution_and_a_loss_scale(steps):
    model = network()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE))
    model.compile(optimizer, "mse", jit_compile=False, steps_per_execution=steps)
    fit(model, callback(kc.OneShot(0.5, step=4), False, "taylor", observed_steps=4), epochs=2)
    for found, expected in zip(masks(model, False), oracle("taylor", 4, 0.5), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("jit_compile", [True, pytest.param(False, marks=verify)])
def test_xla_compiles_observed_steps(jit_compile):
    model = network()
    model.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=jit_compile)
    prune = callback(kc.OneShot(0.5, step=4), False, "movement", observed_steps=4)
    assert fit(model, prune, epochs=2)["sparsity"] == [0.5, 0.5]


def test_an_interrupted_fit_leaves_nothing_behind():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model, loss = network(), CountedLoss()
    model.compile("sgd", loss, jit_compile=False)
    prune = callback(kc.OneShot(0.5, step=2), False, "snip", observed_steps=2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, prune, Interrupt())
    assert "apply" not in vars(model.optimizer)
    history = fit(model, callback(kc.OneShot(0.5, step=2), False, "snip", observed_steps=2))
    assert history["sparsity"] == [0.5]


def test_the_guard_takes_masks_back():
    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_accuracy"] = [0.9, 0.5][epoch]

    model = network()
    guard = kc.AccuracyGuard(reference=0.9, tolerance=0.02, patience=0)
    prune = callback(kc.OneShot(0.5, step=6), False, "snip", observed_steps=2)
    fit(model, Scripted(), prune, guard, epochs=2)
    assert all(mask.all() for mask in masks(model, False))


@pytest.mark.verify("trains on two devices and on one")
def test_two_replicas_end_with_the_masks_of_one_device():
    script = Path(__file__).with_name("_two_replicas.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert one == two
    assert np.mean(np.concatenate([np.ravel(mask) for mask in one[0]])) == pytest.approx(0.5, 0.03)


def test_gradients_of_a_layer_that_is_not_trained_are_refused():
    model = network()
    model.layers[0].trainable = False
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(InvalidArgumentError, match=r"Snip\(\) needs gradients.*'hidden'"):
        fit(model, callback(kc.OneShot(0.5), False, "snip"))


def test_inputs_of_a_grouped_convolution_are_refused():
    conv = layers.Conv2D(4, 3, groups=2, name="grouped")
    model = keras.Sequential([keras.Input((5, 5, 4)), conv, layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=False)
    prune = kc.PruningCallback(kc.OneShot(0.5), kc.Pruning(criterion="wanda"))
    with pytest.raises(InvalidArgumentError, match="which input each weight.*'grouped'"):
        model.fit(np.ones((8, 5, 5, 4)), np.ones((8, 3)), verbose=0, callbacks=[prune])


def test_a_training_step_without_the_optimizer_s_apply_is_refused():
    class ByHand(keras.Sequential):
        def train_step(self, data):
            self.optimizer.iterations.assign_add(1)
            return {"loss": keras.ops.mean((self(data[0]) - data[1]) ** 2)}

    model = ByHand([keras.Input((6,)), layers.Dense(3, name="head")])
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(InvalidArgumentError, match="optimizer.apply.*'head'"):
        fit(model, callback(kc.OneShot(0.5), False, "snip", observed_steps=2))


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(InvalidArgumentError, match="TensorFlow.*Received: backend 'jax'"):
        fit(network(), callback(kc.OneShot(0.5), False, "snip"))


@pytest.mark.parametrize("steps", [0, 1.5])
def test_refuses_what_is_no_number_of_steps(steps):
    with pytest.raises(InvalidArgumentError, match="Received: observed_steps="):
        kc.PruningCallback(kc.OneShot(0.5), observed_steps=steps)
