"""callback.py: channels are held at zero in fit, and can be removed after it."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.dependency_graph import DependencyGraph


def network():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(16, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(x))
    y = layers.Conv2D(16, 3, padding="same", name="branch")(x)
    x = layers.Add()([x, y])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    return model


def fit(model, callback, epochs=3):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6, 6, 2)), rng.normal(size=(32, 3))
    return model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=[callback]).history


def schedule(end_step=8):
    return kc.PolynomialDecay(final_sparsity=0.5, end_step=end_step, frequency=2)


def macs(model):
    return sum(DependencyGraph(model).macs().values())


@pytest.fixture
def model():
    return network()


def test_masked_channels_are_removed_with_the_outputs_unchanged(model):
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


@pytest.mark.parametrize("arguments", [{"schedule": 0.5}, {"budget": "flops"}])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(InvalidArgumentError, match="Received"):
        kc.StructuralPruningCallback(**{"schedule": schedule(), **arguments})
