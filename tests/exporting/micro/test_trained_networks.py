"""A digits network pruned to 75 %, and one of 16 clusters, end in small files that answer alike."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.evaluation.runtimes import open_file
from keras_compress.exporting.micro.compressed_weights import compress_weights
from keras_compress.tflite import flatbuffer

pytestmark = pytest.mark.verify("trains networks on digits that are pruned and clustered in it")

datasets = pytest.importorskip("sklearn.datasets", reason="the digits are scikit-learn's")
pytest.importorskip("tflite_micro", reason="compressed files run in TFLite Micro alone")

BATCH = 64


@pytest.fixture(scope="module")
def digits():
    found = datasets.load_digits()
    images = found.images[..., None].astype(np.float32) / 16
    return images[:1437], found.target[:1437], images[1437:], found.target[1437:]


@pytest.fixture(scope="module")
def float_model(digits):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(momentum=0.9, name="stem_norm"),
            layers.ReLU(name="stem_relu"),
            layers.MaxPooling2D(name="half"),
            layers.Conv2D(64, 3, padding="same", use_bias=False, name="middle"),
            layers.BatchNormalization(momentum=0.9, name="middle_norm"),
            layers.ReLU(name="middle_relu"),
            layers.Conv2D(96, 3, padding="same", activation="relu", name="deep"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(*digits[:2], batch_size=BATCH, epochs=5, verbose=0)
    return model


@pytest.fixture(scope="module", params=["pruned", "clustered"])
def road(request, digits, float_model):
    """(name, dense int8 file, compressed file); how well they answer is not what is tested."""
    x, y, x_test, _ = digits
    epochs, steps = 6, 6 * (len(x) // BATCH)
    settings = {
        "pruned": {"pruning": kc.Pruning()},
        "clustered": {"clustering": kc.Clustering(clusters=16)},
    }[request.param]
    callback = {
        "pruned": kc.PruningCallback(
            kc.PolynomialDecay(0.75, end_step=steps // 2, frequency=steps // 12)
        ),
        "clustered": kc.ClusteringCallback(0, steps // 2),
    }[request.param]
    model = kc.compress(float_model, quantization="cortex_m4", **settings)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    quantize = kc.QuantizationCallback(begin_step=steps // 2, freeze_step=steps * 3 // 4)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[callback, quantize])
    dense = kc.convert(model, "cortex_m4")
    compressed = compress_weights(dense, x_test[:100], strip=True)
    return request.param, dense, compressed


def test_compressed_file_is_small_and_answers_alike(road):
    name, dense, compressed = road
    ratio = compressed.bytes / len(dense)
    assert ratio <= {"pruned": 0.62, "clustered": 0.72}[name], str(compressed)
    assert compressed.samples == 100
    # Once more, on inputs that compress_weights has not seen.
    inputs = [np.random.default_rng(9).integers(-128, 128, (50, 8, 8, 1), np.int8)]
    answers = []
    for content in (dense.content, compressed.content):
        with open_file(content, "tflite_micro") as opened:
            answers.append(opened.run(inputs)[0])
    np.testing.assert_array_equal(*answers)
    assert kc.check(compressed.content, "cortex_m4").verdict == "runs"


def test_weights_take_little_more_than_their_entropy(road):
    _, dense, compressed = road
    weights = {
        op.index: op.inputs[1].data
        for op in flatbuffer.read(dense).operators
        if op.name in ("CONV_2D", "FULLY_CONNECTED")
    }
    entropy = 0.0
    for values in weights.values():
        share = np.unique(values, return_counts=True)[1] / values.size
        entropy -= (share * np.log2(share)).sum() * values.size / 8
    assert compressed.entropy_bytes == pytest.approx(entropy)
    assert compressed.bytes <= 1.25 * entropy + compressed.other_bytes, str(compressed)


def test_chosen_encodings_are_those_the_road_was_made_for(road):
    name, _, compressed = road
    large = [tensor for tensor in compressed.tensors if tensor.dense_bytes > 5000]
    expected = {"pruned": "bitmap", "clustered": "look_up_table"}[name]
    assert {tensor.chosen for tensor in large} == {expected}
    if name == "clustered":
        assert max(tensor.distinct for tensor in large) <= 16
    else:
        assert min(tensor.sparsity for tensor in large) >= 0.74
