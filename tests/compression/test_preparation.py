"""Names that compress shows are names that it takes; adapters, tied and quantized weights."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.errors import UnknownNameError, UnsupportedModelError
from keras_compress.wrappers.compressed_layer import CompressedLayer

WAYS = [{"pruning": kc.Pruning()}, {"quantization": "generic_int8"}]
X = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
V = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
TOKENS = np.arange(12).reshape(2, 6) % 10


def close(model, other, x):
    expected, found = (ops.convert_to_numpy(each(x)) for each in (model, other))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def twins():
    """Two backbones with equal layer names, and a layer named as the number would be."""

    def backbone(name):
        steps = [layers.Conv2D(4, 3, activation="silu", name="conv"), layers.ReLU()]
        return keras.Sequential([keras.Input((8, 8, 1)), *steps], name=name)

    inputs = keras.Input((8, 8, 1))
    x = layers.Concatenate()([backbone("left")(inputs), backbone("right")(inputs)])
    return keras.Model(inputs, layers.Conv2D(2, 3, name="conv_1")(x))


def wrappers(model):
    return [layer for layer in model.layers if isinstance(layer, CompressedLayer)]


def test_each_name_that_is_shown_can_be_chosen():
    model = twins()
    names = [layer.name for layer in wrappers(kc.compress(model, pruning=kc.Pruning()))]
    assert sorted(names) == ["conv", "conv_1", "conv_2"]
    for name in names:
        compressed = kc.compress(model, pruning={name: kc.Pruning()})
        assert [layer.name for layer in wrappers(compressed)] == [name]
        bits = kc.Quantization(weight_bits={name: 4})
        quantized = wrappers(kc.compress(model, quantization=bits))
        assert [layer.name for layer in quantized if layer.quantization.bits == 4] == [name]
        close(model, compressed, X)
        close(model, kc.strip(compressed), X)
    with pytest.raises(UnknownNameError, match="conv_1, conv_2"):
        kc.compress(model, pruning={"conv_3": kc.Pruning()})


def adapted(*steps, x):
    model = keras.Sequential([keras.Input(x.shape[1:]), *steps])
    for layer in steps:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    return model


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize(
    "steps",
    [
        [layers.Dense(4, "softmax", name="a")],
        [layers.Conv2D(4, 3, activation="relu", name="a")],
        [layers.EinsumDense("abcd,de->abce", (8, 8, 3), bias_axes="e", name="a")],
    ],
    ids=["dense", "conv2d", "einsum_dense"],
)
def test_adapters_are_merged_with_a_warning(steps, options):
    copies = [type(step).from_config(step.get_config()) for step in steps]
    model = adapted(*copies, x=X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compressed = kc.compress(model, **options)
    assert any("(LoRA) of 1 layer(s) are merged" in str(warning.message) for warning in caught)
    plain = kc.strip(compressed)
    close(model, plain, X)
    assert not plain.layers[1].lora_enabled
    assert len(compressed.trainable_weights) == 2


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_a_quantized_model_is_refused_and_the_one_before_is_taken(mode, options, tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, name="a")])
    model.save(tmp_path / "before.keras")
    model.get_layer("a").quantize(mode)
    with pytest.raises(UnsupportedModelError, match=f"quantize.'{mode}'.*Received: layer 'a'"):
        kc.compress(model, **options)
    kc.compress(keras.saving.load_model(tmp_path / "before.keras"), **options)


def assigned():
    """A second layer whose kernel is that of the first."""
    first, second = layers.Dense(8, name="first"), layers.Dense(8, name="second")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, second(first(inputs)))
    second._tracker.unlock()
    second._kernel = first._kernel
    second._trainable_variables[0] = first._kernel
    return model


class Reader(layers.Layer):
    """A decoder that uses an encoder's kernel."""

    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder

    def call(self, x):
        return ops.matmul(x, ops.transpose(self.encoder.kernel))


def subclassed():
    encoder, inputs = layers.Dense(3, name="encoder"), keras.Input((8,))
    return keras.Model(inputs, Reader(encoder, name="decoder")(encoder(inputs)))


def read_by_an_operation():
    encoder, inputs = layers.Dense(3, name="encoder"), keras.Input((8,))
    return keras.Model(inputs, ops.matmul(encoder(inputs), ops.ones((3, 3))) @ encoder.kernel.T)


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("make", [assigned, subclassed])
def test_tied_weights_are_refused_before_training(make, options):
    with pytest.raises(UnsupportedModelError, match="share it|reads it"):
        kc.compress(make(), **options)


def test_the_way_out_for_tied_weights_works():
    model = subclassed()
    model.compile("sgd", "mse", run_eagerly=True)
    schedule = kc.ConstantSparsity(0.5)
    logs = model.fit(V, V, verbose=0, callbacks=[kc.PruningCallback(schedule)]).history
    kernel = ops.convert_to_numpy(model.get_layer("encoder").kernel)
    assert logs["sparsity"] == [0.5] and (kernel == 0).mean() == 0.5


def reversible():
    inputs = keras.Input((6,), dtype="int32")
    embedding = layers.ReversibleEmbedding(10, 4, name="tokens")
    return keras.Model(inputs, embedding(layers.Dense(4)(embedding(inputs)), reverse=True))


@pytest.mark.skipif(
    not hasattr(layers, "ReversibleEmbedding"), reason="this Keras has no ReversibleEmbedding"
)
def test_a_reversible_embedding_is_pruned_in_both_directions():
    model = reversible()
    compressed = kc.compress(model, pruning=kc.Pruning())
    assert len(wrappers(compressed)) == 2
    compressed.compile("sgd", "mse", run_eagerly=True)
    targets = np.zeros((2, 6, 10))
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5))]
    compressed.fit(TOKENS, targets, verbose=0, callbacks=callbacks)
    plain = kc.strip(compressed)
    close(compressed, plain, TOKENS)
    assert (ops.convert_to_numpy(plain.get_layer("tokens").embeddings) == 0).mean() == 0.5
    assert len(plain.weights) == len(model.weights)
