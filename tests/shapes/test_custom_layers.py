"""A custom layer names its kernels, and its answer is checked."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


@keras.saving.register_keras_serializable(package="test_custom_layers")
class Gated(layers.Layer):
    """Two products, one of them followed by a sigmoid."""

    kernels = {"weight": -1, "gate": 1}

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.weight = self.add_weight(name="weight", shape=(shape[-1], self.units))
        self.gate = self.add_weight(name="gate", shape=(shape[-1], self.units))
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        gate = ops.sigmoid(ops.matmul(inputs, self.gate))
        return ops.matmul(inputs, self.weight) * gate + self.bias

    def compressed_weights(self):
        return self.kernels

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def network(kind=Gated):
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(4, name="head")(kind(6, name="gated")(inputs)))


def test_its_kernels_are_pruned_rounded_saved_and_converted(tmp_path):
    model = kc.compress(network(), pruning=kc.Pruning(), quantization="generic_int8")
    model.compile("sgd", "mse", run_eagerly=True)
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
    model.fit(X, X[:, :4], verbose=0, callbacks=callbacks)
    model.save(tmp_path / "m.keras")
    loaded = kc.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    wrapper = loaded.get_layer("gated")
    for kernel in wrapper.kernels:
        rounded = np.asarray(wrapper.effective_kernel(kernel))
        steps = rounded / np.asarray(wrapper.scale(kernel))
        assert np.mean(rounded == 0) >= 0.5
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert wrapper.scale(kernel).shape == (1, 6)
    plain = kc.strip(loaded)
    converted = kc.convert(plain, representative_dataset=X)
    assert kc.inspect(converted.content).float_tensors == 0
    result = kc.evaluate(converted, X, baseline=plain).to_json()
    assert result["model"]["sparsity"] >= 0.5
    assert result["output_error"]["sqnr_db"] > 15


def test_one_scale_for_all_where_no_axis_is_given():
    class Whole(Gated):
        kernels = {"weight": None}

    wrapper = kc.compress(network(Whole), quantization="generic_int8").get_layer("gated")
    assert [wrapper.scale(kernel).shape for kernel in wrapper.kernels] == [(1, 1)]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({}, "must return a dict"),
        (["weight"], "must return a dict"),
        ({"nothing": 0}, "nothing=0"),
        ({"weight": 2}, "weight=2"),
        ({"bias": "last"}, "bias='last'"),
    ],
)
def test_what_cannot_be_is_refused(returned, words):
    class Wrong(Gated):
        kernels = returned

    with pytest.raises(InvalidArgumentError, match=words):
        kc.compress(network(Wrong), quantization="generic_int8")
