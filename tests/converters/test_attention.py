"""A transformer block goes the whole road: pruned, quantized, saved, stripped, deployed."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from tests.fixtures.trained import networks

STEPS, WIDTH = 8, 8


@pytest.fixture(scope="module")
def data():
    return networks.more_sentences()


@pytest.fixture(scope="module")
def trained():
    return networks.load("transformer")


@pytest.fixture(scope="module")
def compressed():
    return networks.load("transformer_compressed")


@pytest.mark.verify("trains attention")
def test_the_file_answers_as_the_simulation_does(trained, compressed, data):
    x, labels = data
    converted = kc.convert(compressed)
    assert kc.inspect(converted.content).float_tensors == 0
    result = kc.evaluate(converted, x, labels, baseline=trained, latency_runs=0)
    assert result.baseline.accuracy > 0.95
    assert result.model.accuracy >= result.baseline.accuracy - 0.02
    simulated = keras.ops.convert_to_numpy(compressed(x)).argmax(-1)
    assert kc.evaluate(converted, x, simulated, latency_runs=0).model.accuracy >= 0.995
    assert kc.check(converted, "cortex_m7").verdict == "runs"


def test_stripping_gives_the_users_layers_with_zeros(trained, compressed):
    plain = kc.strip(compressed)
    assert plain.get_layer("attention").get_config() == trained.get_layer("attention").get_config()
    for part in ("query", "key", "value", "output"):
        kernel = np.asarray(getattr(plain.get_layer("attention"), f"{part}_dense").kernel)
        assert np.mean(kernel == 0) == 0.5


def test_attention_that_was_only_pruned_keeps_its_zeros_in_the_file(data):
    x, _ = data
    inputs = keras.Input((STEPS,), dtype="int32")
    words = layers.Embedding(20, WIDTH, name="words")(inputs)
    y = layers.MultiHeadAttention(2, 4, name="attention")(words, words)
    model = keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(y)))
    pruned = kc.compress(model, pruning=kc.Pruning())
    pruned.compile("sgd", "mse", run_eagerly=True)
    callback = kc.PruningCallback(kc.ConstantSparsity(0.5))
    pruned.fit(x[:32], np.zeros((32, 3)), verbose=0, callbacks=[callback])
    converted = kc.convert(pruned, representative_dataset=x[:50])
    result = kc.evaluate(converted, x[:50], baseline=kc.strip(pruned), latency_runs=0)
    assert result.model.sparsity >= 0.45
    assert result.output_error["sqnr_db"] > 20
