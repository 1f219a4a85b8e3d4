"""Variables become constants where they are few and only read; the file is the same either way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_compress as kc
from keras_compress.converters import frozen_graph


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def saved(function, folder):
    signature = [tf.TensorSpec((1, 2), name="x")]
    traced = tf.function(function, input_signature=signature)
    frozen_graph.save(traced, str(folder))
    loaded = tf.saved_model.load(str(folder))
    served = loaded.signatures["serving_default"]
    served.owner = loaded  # Without it the variables are gone.
    return served, served.variables


@pytest.mark.parametrize("profile", ["float32", "generic_int8"])
def test_the_file_is_the_same_from_variables_and_from_constants(monkeypatch, profile):
    model, x = network(), np.random.default_rng(0).random((20, 8, 8, 2), np.float32)
    samples = None if profile == "float32" else x
    of_constants = kc.convert(model, profile, samples)
    monkeypatch.setattr(frozen_graph, "MOST_BYTES", 0)
    of_variables = kc.convert(model, profile, samples)
    assert of_constants.scopes == of_variables.scopes
    assert abs(len(of_constants.content) - len(of_variables.content)) <= 64
    result = kc.evaluate(of_constants, x, baseline=of_variables, latency_runs=0)
    assert result.output_error["mse"] == 0.0


def test_few_bytes_become_constants_and_many_stay(monkeypatch, tmp_path):
    weight = tf.Variable([[1.0], [2.0]])
    call = lambda x: {"y": x @ weight}  # noqa: E731
    served, variables = saved(call, tmp_path / "few")
    assert not variables
    assert float(served(tf.ones((1, 2)))["y"][0, 0]) == 3.0
    monkeypatch.setattr(frozen_graph, "MOST_BYTES", 4)
    served, variables = saved(call, tmp_path / "many")
    assert len(variables) == 1
    assert float(served(tf.ones((1, 2)))["y"][0, 0]) == 3.0


def test_what_a_call_writes_stays_a_variable(tmp_path):
    count = tf.Variable(0.0)

    def call(x):
        return {"y": x + count.assign_add(1.0)}

    served, variables = saved(call, tmp_path)
    assert len(variables) == 1
    assert [float(served(tf.zeros((1, 2)))["y"][0, 0]) for _ in range(2)] == [1.0, 2.0]
