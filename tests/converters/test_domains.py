"""Post-training quantization beyond images: audio features, text, tables, by both engines."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import ConversionError

layers = keras.layers


def _audio_convolutions():
    """Tones among noise, as frames of a filter bank: which band rings?"""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 300)
    x = random.normal(0, 0.3, (300, 16, 8)).astype("float32")
    x[np.arange(300), :, labels * 2] += 1
    inputs = keras.Input((16, 8))
    y = layers.Conv1D(12, 3, activation="relu", name="conv")(inputs)
    y = layers.GlobalAveragePooling1D(name="average")(y)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="head")(y)), x, labels


def _audio_recurrent():
    _, x, labels = _audio_convolutions()
    x = x[:, :6]  # Unrolled, each frame is a dozen operators.
    inputs = keras.Input((6, 8))
    y = layers.GRU(8, unroll=True, name="memory")(inputs)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="head")(y)), x, labels


def _text():
    """Sequences of words, of which one decides; attention has to find it."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    x = random.integers(3, 20, (300, 8))
    x[np.arange(300), random.integers(0, 8, 300)] = labels
    inputs = keras.Input((8,), dtype="int32")
    words = layers.Embedding(20, 8, name="words")(inputs)
    y = layers.MultiHeadAttention(2, 4, name="attention")(words, words)
    y = layers.Flatten(name="flat")(layers.Add(name="join")([words, y]))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(y)), x, labels


DOMAINS = [_audio_convolutions, _audio_recurrent, _text]


@pytest.fixture(scope="module", params=DOMAINS, ids=lambda build: build.__name__.strip("_"))
def trained(request):
    keras.utils.set_random_seed(0)
    model, x, labels = request.param()
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(x, labels, epochs=8, batch_size=50, verbose=0)
    return model, x, labels


@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_classifiers_keep_their_answers(trained, engine):
    model, x, labels = trained
    try:
        converted = kc.convert(model, representative_dataset=x[:100], engine=engine)
    except ConversionError as error:
        # The LiteRT quantizer has no recipe for some operators; the other engine takes them.
        assert engine == "litert" and "computes in float32" in str(error)
        return
    result = kc.evaluate(converted, x, labels, baseline=model)
    assert result.baseline.accuracy > 0.9
    assert result.label_agreement >= 0.97


@pytest.mark.filterwarnings("ignore:No quantization is trained inside:UserWarning")
def test_the_whole_road_calibrates_them(trained):
    model, x, labels = trained
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, x[:100], method="min_max")
    names = [layer.name for layer in model.layers]
    # Where ranges inside a layer are not trained, TensorFlow's converter mixes up bias scales.
    engine = "litert" if "memory" in names else "tensorflow"
    converted = kc.convert(compressed, representative_dataset=x[:100], engine=engine)
    assert kc.evaluate(converted, x, labels, baseline=model).label_agreement >= 0.97


@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_a_table_of_columns_on_scales_of_their_own(engine):
    """Regression with columns from 0.01 to 100: normalised inside the model, in float outside."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = (random.normal(size=(400, 6)) * np.geomspace(0.01, 100, 6)).astype("float32")
    scaled = x / x.std(axis=0)
    y = scaled @ np.arange(1, 7) + np.maximum(scaled[:, 0], 0) * 3
    inputs = keras.Input((6,))
    hidden = layers.Dense(24, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(1, name="value")(hidden))
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False)
    model.fit(scaled, y, epochs=15, batch_size=50, verbose=0)
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, scaled[:200], method="min_max")
    converted = kc.convert(compressed, engine=engine)
    result = kc.evaluate(converted, scaled, y, baseline=model, metrics=["mse"])
    assert result.output_error["sqnr_db"] > 30
    # Unscaled, the largest column takes all levels of the one input scale; analysis says so.
    raw = keras.Model(inputs, model.output)
    kernel, bias = model.get_layer("hidden").get_weights()
    raw.get_layer("hidden").set_weights([kernel / x.std(axis=0)[:, None], bias])
    poor = kc.convert(raw, representative_dataset=x[:200], engine=engine)
    cause = kc.analyze(raw, poor, x[200:264], sensitivity=False).causes[0]
    assert cause.code in ("outlier_channel", "long_tail")
