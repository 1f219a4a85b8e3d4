"""Equalization does not change outputs and makes the ranges of channels equal."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import trace
from keras_compress.post_training.channel_links import channel_links


def _uneven(model):
    """Give channels different ranges, and normalizations different statistics."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            size = weights[0].size
            weights = [random.uniform(0.1, 3, size), *random.normal(size=(2, size))]
            weights.append(random.uniform(0.1, 2, size))
        else:
            weights = [w * np.exp(random.normal(size=w.shape[-1])) for w in weights]
        layer.set_weights(weights)
    return model


def _depthwise_chain(relu=layers.ReLU):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for filters in (8, 6):
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = relu()(layers.BatchNormalization()(x))
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(x)
        x = relu()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return _uneven(keras.Model(inputs, layers.Dense(4)(x)))


def _biased():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu")(inputs)
    x = layers.MaxPooling2D()(layers.ZeroPadding2D()(x))
    x = layers.LeakyReLU()(layers.Conv2DTranspose(5, 3, strides=2)(x))
    x = layers.Dense(7, activation="relu")(layers.Flatten()(x))
    return _uneven(keras.Model(inputs, layers.Dense(4)(x)))


def _residual():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(6, 3, padding="same")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    return _uneven(keras.Model(inputs, layers.Dense(4)(layers.GlobalMaxPooling2D()(x))))


def _sequences():
    inputs = keras.Input((12, 3))
    x = layers.Conv1D(6, 3, activation="relu")(inputs)
    x = layers.Conv1D(5, 3, groups=1, activation="relu")(layers.Dropout(0.5)(x))
    return _uneven(keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x))))


@pytest.mark.parametrize(
    ("build", "links"), [(_depthwise_chain, 4), (_biased, 3), (_residual, 1), (_sequences, 2)]
)
def test_outputs_stay_and_ranges_become_equal(build, links):
    model = build()
    x = np.random.default_rng(1).normal(size=(16, *model.input_shape[1:])).astype("float32")
    equalized = kc.equalize(model)
    expected = np.asarray(model(x))
    np.testing.assert_allclose(equalized(x), expected, atol=1e-5 * np.abs(expected).max())
    actual = channel_links(trace(equalized))
    assert len(actual) == links
    for link in actual:
        made, read = _ranges(link)
        np.testing.assert_allclose(made, read, rtol=0.02)
    assert _unevenness(channel_links(trace(model))) > 2


def _ranges(link):
    """The folded weights that produce each channel and those that read it, by type of layer."""
    kernel = np.abs(np.asarray(link.first.kernel))
    if isinstance(link.first, layers.Conv2DTranspose):
        made = kernel.max(axis=(0, 1, 3))
    elif isinstance(link.first, layers.DepthwiseConv2D):
        made = kernel.max(axis=(0, 1)).ravel()
    else:
        made = kernel.reshape(-1, kernel.shape[-1]).max(axis=0)
    if link.norm is not None:
        variance = np.asarray(link.norm.moving_variance) + link.norm.epsilon
        made = made * np.abs(np.asarray(link.norm.gamma)) / np.sqrt(variance)
    kernel = np.abs(np.asarray(link.last.kernel))
    if isinstance(link.last, layers.Dense):
        return made, kernel.reshape(link.repeats, -1, kernel.shape[-1]).max(axis=(0, 2))
    if isinstance(link.last, layers.Conv2DTranspose):
        return made, kernel.max(axis=(0, 1, 2))
    read = kernel.max(axis=-1)
    return made, read.reshape(-1, read.shape[-1]).max(axis=0)


def _unevenness(links):
    return max(np.max(made / read) / np.min(made / read) for made, read in map(_ranges, links))


def test_relu6_is_left_alone_unless_it_may_be_replaced():
    model = _depthwise_chain(lambda: layers.ReLU(6))
    x = np.random.default_rng(1).uniform(size=(8, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(kc.equalize(model)(x), model(x), rtol=1e-5)
    replaced = kc.equalize(model, replace_relu6=True)
    capped = [layer for layer in replaced.layers if getattr(layer, "max_value", None)]
    assert not capped
    uncapped = _depthwise_chain()
    expected = np.asarray(uncapped(x))
    np.testing.assert_allclose(replaced(x), expected, atol=1e-5 * np.abs(expected).max())


def test_equalization_pays_with_one_scale_for_all_channels():
    model = _depthwise_chain()
    x = np.random.default_rng(1).normal(size=(64, 8, 8, 3)).astype("float32")
    expected = np.asarray(model(x))
    errors = []
    for network in (model, kc.equalize(model)):
        spec = kc.Quantization(per_channel=False, per_channel_dense=False)
        quantized = kc.calibrate(kc.compress(network, quantization=spec), x, method="min_max")
        errors.append(np.mean((np.asarray(quantized(x)) - expected) ** 2))
    assert errors[1] < 0.5 * errors[0]


def test_the_model_that_was_given_is_not_changed():
    model = _biased()
    before = model.get_weights()
    kc.equalize(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_without_pairs_is_copied():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(2)]
    )
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(kc.equalize(model)(x), model(x))
    with pytest.raises(InvalidArgumentError, match="sweeps"):
        kc.equalize(model, sweeps=0)


@pytest.mark.parametrize("build", [_depthwise_chain, _biased, _residual, _sequences])
def test_with_data_outputs_stay_and_channels_reach_equally_far(build):
    model = build()
    x = np.random.default_rng(1).normal(size=(16, *model.input_shape[1:])).astype("float32")
    expected = np.asarray(model(x))
    for strength in (0.5, 1.0):
        equalized = kc.equalize(model, x, strength=strength)
        np.testing.assert_allclose(equalized(x), expected, atol=1e-5 * np.abs(expected).max())
    for link in channel_links(trace(equalized)):
        values = keras.Model(equalized.input, link.last.input)(x)
        values = keras.ops.convert_to_numpy(values)
        reached = np.abs(values).reshape(-1, link.repeats, values.shape[-1] // link.repeats)
        reached = reached.max(axis=(0, 1))
        np.testing.assert_allclose(reached[reached > 0], 1.0, rtol=1e-4)


def test_uneven_channels_lose_less_at_int8_with_data():
    """Channels from 0.01 to 100 between two Dense layers, the second of which evens them out."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12,))
    hidden = layers.Dense(16, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(6, name="out")(hidden))
    factors = np.geomspace(0.01, 100, 16)
    for name, factor in (("hidden", factors), ("out", 1 / factors[:, None])):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * factor, bias])
    x = np.random.default_rng(0).normal(size=(256, 12)).astype("float32")
    expected, errors = np.asarray(model(x)), []
    for source in (model, kc.equalize(model, x)):
        content = kc.convert(source, "generic_int8", x).content
        result = kc.evaluate(content, x, expected, metrics=["mse"], latency_runs=0)
        errors.append(result.model.metrics["mse"])
    assert errors[1] < 0.05 * errors[0]


def test_a_strength_outside_of_its_bounds_is_refused():
    with pytest.raises(InvalidArgumentError, match="strength=1.5"):
        kc.equalize(_residual(), np.zeros((1, 8, 8, 3)), strength=1.5)
