"""`fit` traces steps for the current phase alone, and follows whatever changes the phase."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.callbacks.specialized_functions import (
    SpecializedFunction,
    specialize,
    watch_weights,
)
from keras_compress.wrappers.phase import Phase, PhasedLayer
from tests.fixtures.batches import batches

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model = kc.compress(model, quantization="generic_int8")
    model.compile("sgd", "mse", jit_compile=False)
    model(X, training=True)  # The ranges are those of these inputs.
    return model


def enter(model, phase):
    for layer in model.layers:
        if isinstance(layer, PhasedLayer):
            layer.set_phase(phase)


def error(model):
    return model.evaluate(batches(16, X, X[:, :3]), verbose=0)


def test_a_specialized_function_is_traced_again_at_a_change(model):
    made = []
    original = model.make_test_function
    model.make_test_function = lambda force=False: (made.append(force), original(force))[1]
    specialize(model)
    results = {}
    for phase in (Phase.OFF, Phase.OFF, Phase.LEARNING, Phase.OFF):
        enter(model, phase)
        results.setdefault(phase, []).append(error(model))
    assert made.count(True) == 3
    assert len(set(results[Phase.OFF])) == 1
    assert results[Phase.OFF][0] != results[Phase.LEARNING][0]


def test_after_fit_a_change_behind_its_back_is_noticed_too(model):
    specialize(model)
    rounded = error(model)
    for variable in model.variables:
        if variable.path.endswith("phase"):
            variable.value.assign(0)  # As tf.train.Checkpoint does.
    watch_weights(model)
    assert error(model) != rounded


def test_it_stays_in_place_from_fit_to_fit(model):
    callback = kc.QuantizationCallback()
    model.fit(batches(16, X, X[:, :3]), shuffle=False, verbose=0, callbacks=[callback])
    first = model.train_function
    assert isinstance(first, SpecializedFunction) and not first.in_fit
    model.fit(batches(16, X, X[:, :3]), shuffle=False, verbose=0, callbacks=[callback])
    assert model.train_function is first
    model.compile("sgd", "mse", jit_compile=False)
    assert model.train_function is None
