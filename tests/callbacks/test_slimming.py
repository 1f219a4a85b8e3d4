"""slimming.py: the penalty shrinks scales, but only during `fit`."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from tests.fixtures.batches import batches


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    parts = [layers.Dense(16), layers.BatchNormalization(name="norm"), layers.ReLU()]
    model = keras.Sequential([keras.Input((6,)), *parts, layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    return model


def fit(model, **options):
    x = np.random.default_rng(0).normal(size=(64, 6))
    options = {"epochs": 2, "shuffle": False, "verbose": 0} | options
    return model.fit(batches(32, x, x[:, :1]), **options).history["loss"]


def test_scales_fall_in_training_and_in_training_alone(model):
    fit(model)  # a training step is traced without the penalty
    free = np.abs(model.get_layer("norm").gamma).sum()
    loss = fit(model, callbacks=[kc.SlimmingCallback(0.1)])
    assert np.abs(model.get_layer("norm").gamma).sum() < free - 0.3
    assert loss[0] > 0.1 * free * 0.8
    assert model.get_layer("norm").gamma.regularizer is None and model.losses == []
    assert fit(model)[0] < loss[-1]


def test_own_regularizer_is_kept(model):
    own = keras.regularizers.L2(1e-3)
    model.get_layer("norm").gamma.regularizer = own
    fit(model, callbacks=[kc.SlimmingCallback(0.1)])
    assert model.get_layer("norm").gamma.regularizer is own


def test_a_validation_in_fit_leaves_no_penalty_to_later_evaluations(model):
    x = np.random.default_rng(0).normal(size=(64, 6))
    fit(model, callbacks=[kc.SlimmingCallback(10.0)], validation_data=batches(32, x, x[:, :1]))
    expected = np.mean((model(x).numpy() - x[:, :1]) ** 2)
    assert model.evaluate(x, x[:, :1], verbose=0) == pytest.approx(expected, rel=1e-4)


def test_a_model_that_is_not_built_is_refused():
    model = keras.Sequential([layers.Dense(2), layers.BatchNormalization(name="norm")])
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(InvalidArgumentError, match="not built.*layer 'norm'"):
        model.fit(np.ones((2, 2)), np.ones(2), callbacks=[kc.SlimmingCallback()], verbose=0)


def test_models_without_scales_and_strengths_below_zero_are_refused():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)], name="plain")
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(InvalidArgumentError, match="plain"):
        model.fit(np.ones((2, 2)), np.ones(2), callbacks=[kc.SlimmingCallback()], verbose=0)
    with pytest.raises(InvalidArgumentError, match="strength"):
        kc.SlimmingCallback(-1)


def test_an_interrupted_fit_leaves_nothing_behind_for_the_next(model):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, callbacks=[kc.SlimmingCallback(0.1), Interrupt()])
    fit(model, callbacks=[kc.SlimmingCallback(0.2)])
    assert model.get_layer("norm").gamma.regularizer is None
