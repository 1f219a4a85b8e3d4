"""Pruning under each way in which Keras updates weights: zeros, schedule, logs and saved file."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.graph.graph import all_layers
from tests.fixtures.batches import batches
from tests.fixtures.tables import quickly

# Some of these trainings end before their schedules.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype(np.float32)
Y = RNG.integers(0, 4, 64)
STEPS, EPOCHS = 4, 3  # batches in an epoch
RAMP = kc.PolynomialDecay(0.75, end_step=10, frequency=2)
optimizers, constraints = keras.optimizers, keras.constraints


@dataclasses.dataclass(frozen=True)
class Case:
    """What is unusual about a training; callables, so that each test makes its own."""

    optimizer: Any = lambda: optimizers.SGD(0.1)
    layer: dict = dataclasses.field(default_factory=dict)
    compile: dict = dataclasses.field(default_factory=dict)
    fit: dict = dataclasses.field(default_factory=dict)
    callbacks: Any = list
    wrapper: Any = None
    updates: int = STEPS  # in an epoch


def _sgd(**options):
    return lambda: optimizers.SGD(0.1, **options)


CASES = {
    "max_norm": Case(layer={"kernel_constraint": "max_norm"}),
    "unit_norm": Case(layer={"kernel_constraint": "unit_norm"}),
    "non_neg": Case(layer={"kernel_constraint": "non_neg"}),
    "l1_regularizer": Case(layer={"kernel_regularizer": "l1"}),
    "ema": Case(_sgd(use_ema=True)),
    "ema_overwrites": Case(_sgd(use_ema=True, ema_overwrite_frequency=3)),
    "swap_ema": Case(
        _sgd(use_ema=True),
        fit={"validation_data": batches(16, X, Y)},
        callbacks=lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
    ),
    "loss_scale": Case(lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1))),
    "accumulation": Case(_sgd(gradient_accumulation_steps=2), updates=STEPS // 2),
    "adam": Case(lambda: optimizers.Adam(0.01)),
    "clipping_and_decay": Case(lambda: optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=1.0)),
    "momentum": Case(lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True)),
    "ftrl": Case(lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.01)),
    "lion": Case(lambda: optimizers.Lion(0.001)),
    "muon": Case(lambda: optimizers.Muon(0.01)),
    "spectral_normalization": Case(wrapper=keras.layers.SpectralNormalization),
    "steps_per_execution": Case(compile={"steps_per_execution": 4}),
    "class_weight": Case(fit={"class_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 0.0}}),
    "sample_weight": Case(fit={"weights": [np.linspace(0, 2, 64)]}),
}

# Each is a mechanism of its own in Keras; the others differ in what the update is computed from.
QUICK = ["max_norm", "l1_regularizer", "ema", "swap_ema", "loss_scale", "accumulation", "adam"]
QUICK += ["ftrl", "spectral_normalization", "steps_per_execution", "sample_weight"]
REST = [name for name in CASES if name not in QUICK]
WHY = pytest.mark.verify("trains a network for each optimizer")

SIZES = {"hidden": 8 * 16, "middle": 16 * 8, "head": 8 * 4}  # weights of each kernel


def network(case):
    keras.utils.set_random_seed(3)
    hidden = keras.layers.Dense(16, activation="relu", name="hidden", **case.layer)
    middle = keras.layers.Dense(8, name="middle")
    return keras.Sequential(
        [
            keras.Input((8,)),
            hidden,
            case.wrapper(middle) if case.wrapper else middle,
            keras.layers.Dense(4, name="head", **case.layer),
        ]
    )


def compiled(model, case=Case()):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(case.optimizer(), loss, jit_compile=False, **case.compile)
    return model


def fit(model, *callbacks, epochs=EPOCHS, weights=(), **options):
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | options
    return model.fit(batches(16, X, Y, *weights), callbacks=list(callbacks), **options).history


def zeros(model):
    """Return the fraction of zeros of each Dense kernel, wherever it stands."""
    dense = [
        layer for layer in all_layers(kc.strip(model)) if isinstance(layer, keras.layers.Dense)
    ]
    return {d.name: float(np.mean(keras.ops.convert_to_numpy(d.kernel) == 0)) for d in dense}


def schedule(case):
    """Return the sparsity at the end of each epoch."""
    return [RAMP(min(RAMP.end_step, case.updates * (epoch + 1))) for epoch in range(EPOCHS)]


# kc.compress does not look into SpectralNormalization, and fit says so.
@pytest.mark.filterwarnings("ignore:PruningCallback. 0 % of layer 'spectral_norm:UserWarning")
@pytest.mark.parametrize(
    "wrap",
    quickly([True, False], "trains a network for each optimizer", first=1),
    ids=["compressed", "plain"],
)
@pytest.mark.parametrize("name", QUICK + [pytest.param(name, marks=WHY) for name in REST])
def test_zeros_schedule_logs_and_file_agree(name, wrap, tmp_path):
    case = CASES[name]
    model = network(case)
    model = compiled(kc.compress(model, pruning=kc.Pruning()) if wrap else model, case)
    path = tmp_path / "last.keras"
    saving = [*case.callbacks(), keras.callbacks.ModelCheckpoint(path)]
    history = fit(model, kc.PruningCallback(RAMP), *saving, **case.fit)
    assert np.all(np.isfinite(history["loss"]))
    pruned = {"hidden", "head"} if wrap and case.wrapper else {"hidden", "middle", "head"}
    reached = sum(SIZES[layer] for layer in pruned) / sum(SIZES.values())
    expected = schedule(case)
    assert history["sparsity"] == pytest.approx([reached * s for s in expected], abs=0.02)
    for trained in (model, kc.load_model(path)):
        shares = zeros(trained)
        for layer in pruned:
            assert shares[layer] >= history["sparsity"][-1] / reached - 1 / 32
            if name not in ("ftrl", "non_neg"):  # These make zeros of their own.
                assert shares[layer] <= history["sparsity"][-1] / reached + 1 / 32


@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "compressed"])
def test_a_layer_that_is_unfrozen_in_a_second_phase_is_pruned(wrap):
    model = kc.compress(network(Case()), pruning=kc.Pruning()) if wrap else network(Case())
    model.get_layer("hidden").trainable = False
    compiled(model)
    callback = kc.PruningCallback(RAMP)
    fit(model, callback, epochs=1)
    model.get_layer("hidden").trainable = True
    history = fit(compiled(model), callback, epochs=2)
    assert history["sparsity"][-1] == 0.75
    assert set(zeros(model).values()) == {0.75}
    assert len(model.trainable_weights) == len(kc.strip(model).trainable_weights) == 6


@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "compressed"])
def test_a_second_fit_with_another_callback_keeps_what_is_pruned(wrap):
    model = network(Case())
    model = compiled(kc.compress(model, pruning=kc.Pruning()) if wrap else model)
    fit(model, kc.PruningCallback(RAMP))
    before = zeros(model)
    later = kc.PolynomialDecay(0.9, begin_step=12, end_step=20, frequency=2)
    history = fit(model, kc.PruningCallback(later), epochs=6)
    assert history["sparsity"] == sorted(history["sparsity"]) and history["sparsity"][0] >= 0.75
    assert all(share >= before[name] for name, share in zeros(model).items())
    assert history["sparsity"][-1] == pytest.approx(0.9, abs=0.02)


def test_zeros_of_a_loaded_plain_model_stay():
    model = compiled(network(Case()))
    fit(model, kc.PruningCallback(RAMP))
    weights = model.get_weights()
    again = compiled(network(Case()))
    again.set_weights(weights)
    history = fit(again, kc.PruningCallback(kc.OneShot(0.8, step=6)), epochs=2)
    assert history["sparsity"] == pytest.approx([0.75, 0.8], abs=0.02)


@pytest.mark.parametrize("initializer", ["zeros", "identity"])
def test_zeros_that_a_kernel_begins_with_are_trained(initializer):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(8, kernel_initializer=initializer)
    model = compiled(keras.Sequential([keras.Input((8,)), dense]))
    history = fit(model, kc.PruningCallback(kc.OneShot(0.25, step=6)))
    assert history["sparsity"] == [0.0, 0.25, 0.25]


def test_two_schedule_callbacks_of_a_plain_model_go_on_in_a_second_fit():
    model = compiled(network(Case()))
    kernels = kc.PruningCallback(RAMP, {"middle": kc.Pruning()})
    channels = kc.StructuralPruningCallback(
        kc.PolynomialDecay(0.25, end_step=10, frequency=2), "channels", exclude=["middle"]
    )
    for epoch in range(3):
        history = fit(model, kernels, channels, epochs=1)
        assert kernels.step == channels.step == (epoch + 1) * STEPS
    middle = SIZES["middle"] / sum(SIZES.values())
    assert history["sparsity"] == [pytest.approx(0.75 * middle)]
    assert history["channels"][0] <= 0.78
    late = kc.PruningCallback(RAMP, {"head": kc.Pruning()})
    fit(model, late, channels, epochs=1)
    assert (late.step, channels.step) == (STEPS, 4 * STEPS)
