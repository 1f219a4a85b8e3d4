import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.checks.few_values import FewValues
from keras_compress.converters.deployment import prepare
from keras_compress.converters.options import ConversionOptions
from keras_compress.converters.verification import read_back
from keras_compress.edge_profiles import profile
from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.tflite import flatbuffer
from keras_compress.wrappers.phase import Phase
from tests.fixtures.batches import batches

# These trainings are continued: a first `fit` ends before its schedule.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

random = np.random.default_rng(0)
X = random.normal(size=(128, 8, 8, 2)).astype(np.float32)
Y = random.integers(0, 4, 128)


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.Flatten(name="flat")(x)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax", name="head")(x))


def dense_network():
    """The smallest network that has something to cluster: little time goes into tracing it."""
    keras.utils.set_random_seed(0)
    head = keras.layers.Dense(4, activation="softmax", name="head")
    return keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(), head])


def compressed(make=network, traced=False, **settings):
    model = kc.compress(make(), **settings)
    # Tracing each phase takes longer than a few steps.
    options = {"jit_compile": False, "run_eagerly": not traced}
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


def fit(model, *callbacks, epochs=4):
    model.fit(batches(32, X, Y), epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks))
    return model


def values(model, layer="head"):
    return np.asarray(kc.strip(model).get_layer(layer).kernel)


def most_values(kernel):
    return max(len(np.unique(channel)) for channel in np.moveaxis(kernel, -1, 0))


@pytest.fixture(scope="module")
def everything():
    """Pruned, clustered per channel, quantized, all in one fit."""
    model = compressed(
        traced=True,
        pruning=kc.Pruning(),
        clustering=kc.Clustering(clusters=6),
        quantization="cortex_m4",
    )
    return fit(
        model,
        kc.PruningCallback(kc.ConstantSparsity(0.5, begin_step=0)),
        kc.ClusteringCallback(begin_step=4, freeze_step=10),
        kc.QuantizationCallback(begin_step=10),  # at a step at which it is traced anew anyway
        epochs=3,
    )


def test_all_three_hold_together(everything):
    for name in ("conv", "head"):
        kernel = values(everything, name)
        assert (kernel == 0).mean() >= 0.5
        assert most_values(kernel) <= 6
    assert most_values(values(everything, "depthwise")) > 6


@pytest.fixture(scope="module")
def converted(everything):
    return kc.convert(everything, "cortex_m4")


def test_the_file_holds_few_integers_and_all_zeros(converted):
    weights = [op.inputs[1] for op in flatbuffer.read(converted).operators if len(op.inputs) > 2]
    found = {t.size: most_values(np.moveaxis(t.data, t.axis or 0, -1)) for t in weights}
    assert found[3 * 3 * 2 * 8] <= 6 and found[4 * 4 * 8 * 4] <= 6


def test_one_codebook_gives_a_kernel_few_values():
    model = compressed(clustering=kc.Clustering(clusters=5, per_channel=False))
    fit(model, kc.ClusteringCallback(), epochs=1)
    assert len(np.unique(values(model, "conv"))) <= 5
    assert len(np.unique(values(model))) <= 5


def test_values_are_trained_while_and_after_assignments_freeze():
    model = compressed(dense_network, clustering=kc.Clustering(clusters=3))
    fit(model, kc.ClusteringCallback(0, 4), epochs=1)
    first = values(model)
    (codebook,) = model.get_layer("head").codebooks.values()
    assert codebook.phase == Phase.LEARNING
    fit(model, kc.ClusteringCallback(0, 4), epochs=2)
    assert codebook.phase == Phase.FROZEN
    second, places = values(model), np.asarray(codebook.places).copy()
    fit(model, kc.ClusteringCallback(0, 4), epochs=1)
    third = values(model)
    assert not np.array_equal(first, second) and not np.array_equal(second, third)
    np.testing.assert_array_equal(codebook.places, places)


def test_files_carry_codebooks(everything, tmp_path):
    everything.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X[:8]), everything(X[:8]))
    assert loaded.get_layer("head").clustering == everything.get_layer("head").clustering
    np.testing.assert_array_equal(values(loaded), values(everything))


def test_an_interrupted_fit_goes_on(tmp_path):
    def callbacks():
        keras.utils.set_random_seed(1)
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        return kc.ClusteringCallback(2, 6), backup

    def train(epochs):
        model = compressed(dense_network, clustering=kc.Clustering(clusters=4))
        return fit(model, *callbacks(), epochs=epochs)

    whole = train(3)
    for file in (tmp_path / "backup").iterdir():
        file.unlink()
    train(1)
    resumed = train(3)
    np.testing.assert_allclose(values(resumed), values(whole), atol=1e-6)
    assert resumed.get_layer("head").codebooks["kernel"].phase == Phase.FROZEN


def test_quantization_leaves_clustering_alone():
    model = compressed(dense_network, clustering=kc.Clustering(), quantization="generic_int8")
    fit(model, kc.QuantizationCallback(), epochs=1)
    assert model.get_layer("head").codebooks["kernel"].phase == Phase.OFF
    with pytest.raises(ConversionError, match="Clustering of .* has not begun"):
        prepare(model)


def test_predicate_chooses_layers():
    model = compressed(
        clustering=kc.Clustering(clusters=4, layers=lambda layer: layer.name != "head")
    )
    names = [layer.name for layer in model.layers if getattr(layer, "codebooks", None)]
    assert names == ["conv", "depthwise"]


def test_a_file_with_more_values_is_found_out(everything, converted):
    kernels = prepare(everything, batch_size=None).kernels
    options = ConversionOptions.from_profile(profile.get("cortex_m4"))

    def findings(content):
        emitted = read_back(content, options, scopes=converted.scopes, kernels=kernels)
        return FewValues().run(emitted)

    assert findings(converted.content) == []
    content = bytearray(converted.content)
    head = next(t for t in flatbuffer.read(converted).tensors if t.size == 4 * 4 * 8 * 4)
    place = bytes(content).index(head.stored.tobytes())
    content[place : place + 12] = bytes(range(60, 72))
    (finding,) = findings(bytes(content))
    assert (finding.code, finding.layer) == ("lost_clusters", "head")


def test_wrong_arguments_are_refused():
    with pytest.raises(InvalidArgumentError, match="2 to 128"):
        kc.Clustering(clusters=1)
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        kc.ClusteringCallback(-1)
    with pytest.raises(InvalidArgumentError, match="must not come before"):
        kc.ClusteringCallback(5, 4)
    with pytest.raises(InvalidArgumentError, match=r"kc\.Clustering"):
        kc.compress(network(), clustering=16)
    with pytest.raises(InvalidArgumentError, match="kc.compress"):
        fit(compressed(pruning=kc.Pruning()), kc.ClusteringCallback())
