"""QuantizationCallback: when quantization begins, when it freezes, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.phase import Phase, PhasedLayer
from keras_compress.wrappers.rounded_kernels import RoundedKernels
from tests.fixtures.batches import batches

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 6)).astype(np.float32)
Y = RANDOM.normal(size=(32, 3)).astype(np.float32)
STEPS = 4  # batches in an epoch


class Watch(keras.callbacks.Callback):
    """Notes the phase and the statistics that each batch ended with."""

    def on_train_begin(self, logs=None):
        self.phases, self.means, self.ranges = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        layer = self.model.get_layer("hidden")
        quantizer = next(q for q in self.model.layers if isinstance(q, ActivationQuantizer))
        self.phases.append(layer.phase)
        self.means.append(layer.batch_norm.moving_mean.numpy())
        self.ranges.append(quantizer.range)


def normalized():
    inputs = keras.Input((6,))
    x = layers.Dense(8, use_bias=False, name="hidden")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.5, name="norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def dense():
    return keras.Sequential([keras.Input((6,)), layers.Dense(3, name="hidden")])


def compressed(make=normalized, **options):
    keras.utils.set_random_seed(0)
    model = kc.compress(make(), quantization="generic_int8")
    model.compile("sgd", "mse", **{"jit_compile": False} | options)
    return model


def fit(model, *callbacks, epochs=1, **options):
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | options
    model.fit(batches(8, X, Y), callbacks=list(callbacks), **options)


def watched(model, *callbacks, **options):
    watch = Watch()
    fit(model, *callbacks, watch, **options)
    return watch


@pytest.fixture(scope="module")
def trained():
    model, callback = compressed(), kc.QuantizationCallback(begin_step=2, freeze_step=6)
    return model, callback, watched(model, callback, epochs=3)


def test_it_begins_and_freezes_at_its_steps(trained):
    *_, watch = trained
    assert watch.phases == [Phase.OFF] * 2 + [Phase.LEARNING] * 4 + [Phase.FROZEN] * 6


def test_statistics_and_ranges_stand_still_from_the_freeze_on(trained):
    *_, watch = trained
    moved = [np.any(a != b) for a, b in zip(watch.means, watch.means[1:], strict=False)]
    assert moved == [True] * 5 + [False] * 6
    assert len(set(watch.ranges[:2])) == 1, "no range is learned before quantization begins"
    assert len(set(watch.ranges[5:])) == 1
    assert watch.ranges[1] != watch.ranges[2]


def test_frozen_weights_still_train(trained):
    model, callback, _ = trained
    before = model.get_layer("hidden").layer.kernel.numpy()
    watch = watched(model, callback)
    assert watch.phases == [Phase.FROZEN] * STEPS
    assert np.any(before != model.get_layer("hidden").layer.kernel.numpy())


def test_the_same_instance_serves_another_model(trained):
    _, callback, first = trained
    watch = watched(compressed(run_eagerly=True), callback, epochs=3)
    assert watch.phases == first.phases


def test_every_layer_enters_the_phase(trained):
    model, *_ = trained
    phases = {layer.phase for layer in model.layers if isinstance(layer, PhasedLayer)}
    assert phases == {Phase.FROZEN}


@pytest.mark.verify("XLA compiles a network")
@pytest.mark.parametrize("make", [dense, normalized])
def test_training_is_the_same_whether_xla_compiles_or_not(make):
    losses = []
    for jit_compile in (True, False):
        model = compressed(make, jit_compile=jit_compile)
        quantizers = [q for q in model.layers if isinstance(q, ActivationQuantizer)]
        told = []
        hear = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, told=told, quantizers=quantizers: told.extend(
                quantizer.compiled_by_xla for quantizer in quantizers
            )
        )
        fit(model, kc.QuantizationCallback(), hear, epochs=4)
        assert set(told) == {jit_compile}
        assert all(quantizer.compiled_by_xla for quantizer in quantizers), "for what comes next"
        losses.append(model.evaluate(batches(32, X, Y), verbose=0))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("gpus", [0, 1])
def test_weights_are_rounded_with_branches_on_a_cpu_alone(gpus, monkeypatch):
    model = compressed(dense)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [kind] * gpus)
    kernels = [layer for layer in model.layers if isinstance(layer, RoundedKernels)]
    told = []
    hear = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: told.extend(layer.runs_on_cpu for layer in kernels)
    )
    fit(model, kc.QuantizationCallback(), hear, epochs=1)
    assert set(told) == {not gpus}
    assert not any(layer.runs_on_cpu for layer in kernels), "for what comes next"


def test_without_a_freeze_it_learns_to_the_end():
    callback = kc.QuantizationCallback(begin_step=3)
    assert [callback.phase_at(step) for step in (0, 2, 3, 10**9)] == [
        Phase.OFF,
        Phase.OFF,
        Phase.LEARNING,
        Phase.LEARNING,
    ]


def test_a_model_without_quantizers_is_told_the_line_to_add():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)], name="bare")
    for candidate in (model, kc.compress(model, pruning=kc.Pruning())):
        candidate.compile("sgd", "mse", jit_compile=False)
        with pytest.raises(InvalidArgumentError, match=r"(?s)kc\.compress.*Received: bare"):
            candidate.fit(X, Y, verbose=0, callbacks=[kc.QuantizationCallback()])


def test_a_calibrator_of_whole_distributions_wants_calibrate_first():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    model = kc.compress(model, quantization=kc.Quantization(calibrator="percentile"))
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(InvalidArgumentError, match="kc.calibrate"):
        model.fit(X, Y, verbose=0, callbacks=[kc.QuantizationCallback()])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"begin_step": -1}, "Received: begin_step=-1"),
        ({"begin_step": 5, "freeze_step": 4}, "Received: begin_step=5, freeze_step=4"),
    ],
)
def test_steps_out_of_order_are_refused(arguments, words):
    with pytest.raises(InvalidArgumentError, match=words):
        kc.QuantizationCallback(**arguments)
