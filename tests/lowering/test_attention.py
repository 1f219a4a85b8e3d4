"""A split attention computes the same as Keras, and is restored by strip()."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import UnknownNameError
from keras_compress.lowering.attention_layers import AttentionMask
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import Phase, PhasedLayer

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 5, 6)).astype("float32")
OTHER = RANDOM.normal(size=(12, 7, 4)).astype("float32")
MASK = RANDOM.random((12, 5, 5)) < 0.6
MASK |= np.eye(5, dtype=bool)


def _self_attention(call=None, **config):
    inputs = keras.Input((5, 6))
    attention = layers.MultiHeadAttention(2, 3, name="attention", **config)
    return _randomized(keras.Model(inputs, attention(inputs, inputs, **(call or {})))), X


def _cross_attention():
    query, value = keras.Input((5, 6), name="query"), keras.Input((7, 4), name="value")
    key = layers.Dense(4, name="keys")(value)
    attention = layers.MultiHeadAttention(3, 2, value_dim=5, output_shape=4, name="attention")
    return _randomized(keras.Model([query, value], attention(query, value, key))), [X, OTHER]


def _masked():
    inputs, mask = keras.Input((5, 6), name="x"), keras.Input((5, 5), name="mask", dtype="bool")
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    y = attention(inputs, inputs, attention_mask=mask, use_causal_mask=True)
    return _randomized(keras.Model([inputs, mask], y)), [X, MASK]


def _shared():
    inputs = keras.Input((5, 6))
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    return _randomized(keras.Model(inputs, attention(*[attention(inputs, inputs)] * 2))), X


def _randomized(model):
    """Set nonzero biases, so that a lost bias is noticed."""
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    return model


MODELS = {
    "plain": _self_attention,
    "without_bias": lambda: _self_attention(use_bias=False),
    "dropout": lambda: _self_attention(dropout=0.3),
    "causal": lambda: _self_attention({"use_causal_mask": True}),
    "causal_with_dropout": lambda: _self_attention({"use_causal_mask": True}, dropout=0.3),
    "constant_mask": lambda: _self_attention({"attention_mask": MASK[:1]}),
    "cross": _cross_attention,
    "masked": _masked,
    "shared": _shared,
}
# Forms that MultiHeadAttention has had only since a later release than the oldest that we take.
_ARGUMENTS = inspect.signature(layers.MultiHeadAttention).parameters
if "use_gate" in _ARGUMENTS:
    MODELS["gate"] = lambda: _self_attention(use_gate=True)
if "sliding_window" in _ARGUMENTS:
    MODELS["window"] = lambda: _self_attention({"use_causal_mask": True}, sliding_window=2)


def _compressed(model, phase=Phase.OFF, **choices):
    compressed = kc.compress(model, **(choices or {"quantization": kc.Quantization()}))
    for layer in compressed.layers:
        if isinstance(layer, PhasedLayer):
            layer.set_phase(phase)
    return compressed


# Each of them is a part of another one.
SIMPLE = pytest.mark.verify("splits eleven attentions, these three for a second time")
FORMS = [
    pytest.param(name, marks=SIMPLE if name in ("plain", "dropout", "causal") else ())
    for name in MODELS
]


@pytest.mark.parametrize("name", FORMS)
def test_parts_answer_as_the_whole_does(name):
    model, x = MODELS[name]()
    expected = model(x, training=False)
    compressed = _compressed(model)
    assert sum(isinstance(layer, CompressedLayer) for layer in compressed.layers) >= 4
    assert not any(isinstance(layer, layers.MultiHeadAttention) for layer in compressed.layers)
    np.testing.assert_allclose(compressed(x, training=False), expected, atol=1e-5)
    plain = kc.strip(compressed)
    assert [type(layer) for layer in plain.layers] == [type(layer) for layer in model.layers]
    assert plain.get_layer("attention").get_config() == model.get_layer("attention").get_config()
    np.testing.assert_allclose(plain(x, training=False), expected, atol=1e-6)


def test_dropout_still_drops_in_training():
    model, x = _self_attention(dropout=0.5)
    compressed = _compressed(model)
    assert not np.allclose(compressed(x, training=True), compressed(x, training=False), atol=1e-3)


@pytest.mark.parametrize("choice", ["attention", "attention_key"])
def test_pruning_by_name_reaches_the_projections(choice):
    model, x = _self_attention()
    compressed = kc.compress(model, pruning={choice: kc.Pruning()})
    compressed.compile("sgd", "mse", run_eagerly=True)
    callback = kc.PruningCallback(kc.ConstantSparsity(0.5))
    compressed.fit(x, x, verbose=0, callbacks=[callback])
    attention = kc.strip(compressed).get_layer("attention")
    pruned = ["query", "key", "value", "output"] if choice == "attention" else ["key"]
    for part in ("query", "key", "value", "output"):
        zeros = np.mean(np.asarray(getattr(attention, f"{part}_dense").kernel) == 0)
        assert zeros == (0.5 if part in pruned else 0)


def test_an_attention_that_is_not_named_stays_whole():
    inputs = keras.Input((5, 6))
    y = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2, name="head")(y))
    compressed = kc.compress(model, pruning={"head": kc.Pruning()})
    assert isinstance(compressed.get_layer("attention"), layers.MultiHeadAttention)
    with pytest.raises(UnknownNameError, match="attentoin"):
        kc.compress(model, pruning={"attentoin": kc.Pruning()})


def test_widths_by_name_reach_the_projections():
    model, _ = _self_attention()
    widths = {"attention": 4, "attention_output": 8}
    compressed = kc.compress(model, quantization=kc.Quantization(weight_bits=widths))
    actual = {w.name: w.weight_bits for w in compressed.layers if isinstance(w, CompressedLayer)}
    assert actual == {
        "attention_query": 4,
        "attention_key": 4,
        "attention_value": 4,
        "attention_output": 8,
    }


def test_a_file_loads_and_strips(tmp_path):
    model, x = _masked()
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization=kc.Quantization())
    kc.calibrate(compressed, dict(zip(("x", "mask"), x, strict=True)))
    compressed.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), compressed(x))
    np.testing.assert_allclose(kc.strip(loaded)(x), model(x), atol=1e-6)


def test_the_range_of_masked_scores_ends_a_little_below_the_others():
    model, x = _self_attention({"use_causal_mask": True})
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, x, method="min_max")
    (mask,) = (layer for layer in compressed.layers if isinstance(layer, AttentionMask))
    quantizer = next(
        layer
        for layer in compressed.layers
        if isinstance(layer, ActivationQuantizer) and layer.name == f"{mask.name}_range"
    )
    attention = model.get_layer("attention")
    queries, keys = attention.query_dense(x), attention.key_dense(x)
    scores = np.einsum("bthd,bshd->bhts", queries, keys)[..., *np.tril_indices(5)] / 3**0.5
    # Weights are rounded during calibration.
    np.testing.assert_allclose(quantizer.range, (scores.min() - 10, scores.max()), rtol=0.01)


def test_what_stays_whole_is_named_with_the_reason():
    inputs = keras.Input((5,), dtype="int32")
    words = layers.Embedding(9, 6, mask_zero=True, name="words")(inputs)
    y = layers.MultiHeadAttention(2, 3, name="attention")(words, words)
    model = keras.Model(inputs, y)
    with pytest.warns(UserWarning, match=r"attention \(MultiHeadAttention: .*mask_zero"):
        kc.compress(model, quantization=kc.Quantization())
    inputs = keras.Input((5, 6))
    grouped = layers.GroupQueryAttention(3, 2, 1, name="grouped")(inputs, inputs)
    with pytest.warns(UserWarning, match=r"grouped \(GroupedQueryAttention: only"):
        kc.compress(keras.Model(inputs, grouped), quantization=kc.Quantization())
