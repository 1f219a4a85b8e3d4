"""A wrapper is trainable if what is inside is, and passes masks on as that does."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.phase import Phase, PhasedLayer

WAYS = [
    {"pruning": kc.Pruning()},
    {"quantization": "generic_int8"},
    {"quantization": kc.Quantization(weight_quantizer="learned_step")},
    {"clustering": kc.Clustering(clusters=4), "quantization": "generic_int8"},
]


def backbone():
    """A network that was frozen but for its last layer."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.BatchNormalization(name="late"),
            layers.Flatten(),
            layers.Dense(2, name="head"),
        ]
    )
    for layer in model.layers[:-1]:
        layer.trainable = False
    return model


def trained_variables(model):
    """Return the names of the trainable weights that the plain model has too."""
    names = [weight.path.split("/")[-2:] for weight in model.trainable_weights]
    return sorted("/".join(name) for name in names if not name[-1].endswith(("scale", "oids")))


@pytest.mark.parametrize("options", WAYS)
def test_what_was_frozen_is_unfrozen_layer_by_layer(options, tmp_path):
    model = backbone()
    compressed = kc.compress(model, **options)
    compressed.save(tmp_path / "model.keras")
    for each in (compressed, keras.saving.load_model(tmp_path / "model.keras")):
        assert trained_variables(each) == ["head/bias", "head/kernel"]
        for layer in each.layers:
            layer.trainable = True
        assert len(trained_variables(each)) == 8
        each.get_layer("conv").trainable = False
        assert "conv/kernel" not in trained_variables(each)


@pytest.mark.parametrize("frozen", ["conv", "norm"])
def test_one_of_two_layers_inside_is_unfrozen(frozen):
    model = backbone()
    for layer in model.layers:
        layer.trainable = layer.name != frozen
    compressed = kc.compress(model, quantization="generic_int8")
    assert not any(frozen in name for name in trained_variables(compressed))
    assert len(trained_variables(compressed)) == 6
    compressed.get_layer("conv").trainable = True
    assert len(trained_variables(compressed)) == 8


def embedded(*steps):
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


MASKED = {
    "pooling": lambda: embedded(layers.Dense(5, "relu"), layers.GlobalAveragePooling1D()),
    "pooling of a softmax": lambda: embedded(
        layers.Dense(5, "softmax"), layers.GlobalAveragePooling1D()
    ),
    "rnn": lambda: embedded(layers.Dense(5), layers.SimpleRNN(3, unroll=True)),
    "silu": lambda: embedded(layers.Dense(5, "silu"), layers.GlobalAveragePooling1D()),
    "normalization": lambda: embedded(
        layers.LayerNormalization(), layers.Dense(4), layers.GlobalAveragePooling1D()
    ),
    "batch normalization": lambda: embedded(
        layers.Dense(4), layers.BatchNormalization(), layers.GlobalAveragePooling1D()
    ),
}


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("kind", MASKED)
def test_masks_reach_the_layers_that_read_them(kind, options):
    model = MASKED[kind]()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*does not support masking")
        warnings.filterwarnings("ignore", message="No quantization is trained inside")
        compressed = kc.compress(model, **options)
        for layer in all_layers(compressed):
            if isinstance(layer, PhasedLayer):
                layer.set_phase(Phase.OFF)
        tokens = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 0, 0, 0, 0]])
        np.testing.assert_allclose(compressed(tokens), model(tokens), rtol=1e-5, atol=1e-6)


def test_the_mask_matters_here():
    """Without the mask, padding counts: what the test above compares would differ."""
    model = MASKED["pooling"]()
    tokens = np.array([[1, 2, 0, 0, 0, 0]])
    embedding, *rest = model.layers[1:]
    unmasked = embedding(tokens)
    unmasked = keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(unmasked))
    for layer in rest:
        unmasked = layer(unmasked)
    assert np.abs(unmasked - model(tokens)).max() > 1e-4
