"""compress() and strip(): strip gives the model back; models that cannot be compressed fail."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnknownNameError, UnsupportedModelError
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import PhasedLayer

X = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)


def small(name="small"):
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    return keras.Model(image, layers.Dense(3, name="head")(layers.Flatten()(x)), name=name)


def two_inputs():
    shared = layers.Dense(4, activation="tanh", name="shared")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="shared")], name="inner")
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    total = layers.Add()([inner(shared(a)), shared(b)])
    return keras.Model({"a": a, "b": b}, {"sum": total, "raw": layers.ReLU()(shared(total))})


def wrapped(model):
    return {layer.name for layer in all_layers(model) if isinstance(layer, CompressedLayer)}


@pytest.mark.parametrize(
    "options",
    [
        {"pruning": kc.Pruning()},
        {"quantization": "generic_int8"},
        {"pruning": kc.Pruning(pattern="2:4"), "quantization": kc.Quantization(weight_bits=4)},
    ],
    ids=["pruning", "quantization", "both"],
)
def test_stripping_gives_back_the_same_network(options):
    model = small()
    plain = kc.strip(kc.compress(model, **options))
    assert not wrapped(plain)
    assert not any(isinstance(layer, ActivationQuantizer) for layer in plain.layers)
    assert [layer.name for layer in plain.layers] == [layer.name for layer in model.layers]
    for found, wanted in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(plain(X), model(X), rtol=1e-5, atol=1e-6)


def test_the_model_given_is_not_changed():
    model = small()
    before = model.get_weights()
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    for layer in all_layers(compressed):
        for weight in layer.weights:
            weight.assign(np.zeros(weight.shape))
    for value, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_a_compressed_model_that_has_not_begun_computes_the_same():
    model = small()
    pruned = kc.compress(model, pruning=kc.Pruning())
    np.testing.assert_allclose(pruned(X), model(X), rtol=1e-5, atol=1e-6)
    quantized = kc.compress(model, quantization="generic_int8")
    for layer in all_layers(quantized):
        if isinstance(layer, PhasedLayer):
            layer.set_phase(0)
    np.testing.assert_allclose(quantized(X), model(X), rtol=1e-5, atol=1e-6)


def test_structures_of_inputs_and_outputs_and_shared_layers_stay():
    model = two_inputs()
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    assert set(compressed.input) == {"a", "b"} and set(compressed.output) == {"sum", "raw"}
    assert wrapped(compressed) == {"shared", "shared_1"}
    plain = kc.strip(compressed)
    x = {name: np.random.default_rng(1).normal(size=(3, 4)) for name in "ab"}
    for name, value in model(x).items():
        np.testing.assert_allclose(plain(x)[name], value, rtol=1e-5, atol=1e-6)


def test_depthwise_kernels_are_pruned_only_where_they_are_named():
    assert wrapped(kc.compress(small(), pruning=kc.Pruning())) == {"conv", "head"}
    named = kc.compress(small(), pruning={"depthwise": kc.Pruning(), "conv": None})
    assert wrapped(named) == {"depthwise"}
    by_filter = kc.Pruning(layers=lambda layer: layer.name != "conv")
    assert wrapped(kc.compress(small(), pruning=by_filter)) == {"depthwise", "head"}


def test_layers_that_a_filter_leaves_out_keep_float_weights():
    settings = kc.Quantization(layers=lambda layer: layer.name != "head")
    compressed = kc.compress(small(), quantization=settings)
    assert wrapped(compressed) == {"conv", "depthwise"}


def test_profiles_decide_about_widths_and_channels():
    head = kc.compress(small(), quantization="cortex_m4").get_layer("head")
    assert head.quantization.bits == 8
    per_tensor = kc.Quantization(per_channel_dense=False)
    head = kc.compress(small(), quantization=per_tensor).get_layer("head")
    assert not head.quantization.per_channel


def test_a_type_that_is_not_known_is_left_in_float_with_one_warning():
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.GRU(4, unroll=True, name="memory"),
            layers.Dense(2, name="head"),
        ]
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compressed = kc.compress(model, quantization="generic_int8")
    (text,) = (str(warning.message) for warning in caught if warning.category is UserWarning)
    assert "memory (GRU: its steps run in a loop" in text and "stay in float" in text
    assert wrapped(compressed) == {"head"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kc.compress(model, pruning=kc.Pruning())


class _Subclassed(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.head = layers.Dense(3)

    def call(self, inputs):
        return self.head(inputs)


class _GraphAndCall(keras.Model):
    def call(self, inputs):
        return 2 * super().call(inputs)


def _with_a_call_of_its_own():
    inputs = keras.Input((4,))
    return _GraphAndCall(inputs, layers.Dense(2)(inputs))


def test_a_call_around_a_graph_is_part_of_it():
    model = _with_a_call_of_its_own()
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(kc.strip(model)(x), model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_Subclassed, "subclassed model is not built.*_Subclassed"),
        (lambda: keras.Sequential([layers.Dense(3)]), "not built.*model.build"),
        (lambda: "model.keras", "Received: builtins.str"),
        (lambda: None, "Received: builtins.NoneType"),
    ],
)
@pytest.mark.parametrize("function", [lambda m: kc.compress(m, pruning=kc.Pruning()), kc.strip])
def test_models_without_a_graph_are_refused(make, words, function):
    with pytest.raises(UnsupportedModelError, match=f"(?s){words}"):
        function(make())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidArgumentError, "nothing to do"),
        ({"pruning": 0.5}, InvalidArgumentError, "Received: 0.5"),
        ({"pruning": {"conv": "2:4"}}, InvalidArgumentError, "'conv'.*Received: '2:4'"),
        ({"pruning": {"cnv": kc.Pruning()}}, UnknownNameError, "Did you mean 'conv'"),
        ({"pruning": {"relu": kc.Pruning()}}, UnknownNameError, "Received: 'relu'"),
        ({"pruning": kc.Pruning(criterion="magnitud")}, UnknownNameError, "mean 'magnitude'"),
        ({"pruning": kc.Pruning(pattern="unstructred")}, UnknownNameError, "mean 'unstructured'"),
        ({"pruning": kc.Pruning(pattern="4:2")}, InvalidArgumentError, "Received: 4:2"),
        ({"quantization": "cortex_m77"}, UnknownNameError, "mean 'cortex_m7'"),
        ({"quantization": 8}, InvalidArgumentError, "Received: 8"),
        (
            {"quantization": kc.Quantization(weight_quantizer="absmax")},
            UnknownNameError,
            "mean 'abs_max'",
        ),
        (
            {"quantization": kc.Quantization(calibrator="moving_avg")},
            UnknownNameError,
            "mean 'moving_average'",
        ),
        (
            {"quantization": kc.Quantization(profile="coral_edgetpu", weight_bits=4)},
            InvalidArgumentError,
            "coral_edgetpu runs weights of 8 bits.*weight_bits=4",
        ),
    ],
)
def test_bad_arguments_say_what_was_received(options, error, words):
    with pytest.raises(error, match=words):
        kc.compress(small(), **options)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    model = small()
    kernel = model.get_layer("conv").kernel
    values = kernel.numpy()
    values[0, 0, 0, 0] = bad
    kernel.assign(values)
    with pytest.raises(InvalidArgumentError, match="(?s)finite numbers.*conv/kernel"):
        kc.compress(model, pruning=kc.Pruning())


def test_a_compressed_model_is_not_compressed_again():
    once = kc.compress(small(), pruning=kc.Pruning())
    with pytest.raises(InvalidArgumentError, match="already compressed"):
        kc.compress(once, quantization="generic_int8")
    assert wrapped(kc.compress(kc.strip(once), pruning=kc.Pruning()))
