"""A transformer block goes the whole road: pruned, quantized, saved, stripped, deployed."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc

STEPS, WIDTH = 8, 8


@pytest.fixture(scope="module")
def data():
    """Sequences of words, of which one decides."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    x = random.integers(3, 20, (400, STEPS)).astype("int32")
    x[np.arange(400), random.integers(0, STEPS, 400)] = labels
    return x, labels


@pytest.fixture(scope="module")
def trained(data):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS,), dtype="int32")
    words = layers.Embedding(20, WIDTH, name="words")(inputs)
    y = layers.MultiHeadAttention(2, 4, name="attention")(words, words, use_causal_mask=True)
    attended = layers.LayerNormalization(name="first_norm")(layers.Add()([words, y]))
    y = layers.Dense(2 * WIDTH, activation="relu", name="up")(attended)
    y = layers.Add()([attended, layers.Dense(WIDTH, name="down")(y)])
    y = layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="second_norm")(y))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(y))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(*data, epochs=8, batch_size=50, verbose=0)
    return model


@pytest.fixture(scope="module")
def compressed(trained, data, tmp_path_factory):
    model = kc.compress(trained, pruning=kc.Pruning(), quantization=kc.Quantization())
    model.compile(
        keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", jit_compile=False
    )
    callbacks = [
        kc.PruningCallback(kc.PolynomialDecay(final_sparsity=0.5, begin_step=0, end_step=8)),
        kc.QuantizationCallback(freeze_step=16),
    ]
    model.fit(*data, epochs=3, batch_size=50, verbose=0, callbacks=callbacks)
    path = tmp_path_factory.mktemp("attention") / "model.keras"
    model.save(path)
    return kc.load_model(path)


def test_the_file_answers_as_the_simulation_does(trained, compressed, data):
    x, labels = data
    converted = kc.convert(compressed)
    assert kc.inspect(converted.content).float_tensors == 0
    result = kc.evaluate(converted, x, labels, baseline=trained)
    assert result.baseline.accuracy > 0.95
    assert result.model.accuracy >= result.baseline.accuracy - 0.02
    simulated = compressed.predict(x, verbose=0).argmax(-1)
    assert kc.evaluate(converted, x, simulated).model.accuracy >= 0.995
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
    pruned.compile("sgd", "mse", jit_compile=False)
    callback = kc.PruningCallback(kc.ConstantSparsity(0.5))
    pruned.fit(x[:32], np.zeros((32, 3)), verbose=0, callbacks=[callback])
    converted = kc.convert(pruned, representative_dataset=x[:50])
    result = kc.evaluate(converted, x[:50], baseline=kc.strip(pruned))
    assert result.model.sparsity >= 0.45
    assert result.output_error["sqnr_db"] > 20
