"""shrinking.py: amounts, multiples, protection and errors."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnknownNameError, UnsupportedModelError
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.propagation.base import PropagationRule


def network(custom=None):
    x = inputs = keras.Input((8, 8, 3))
    for number in range(3):
        x = layers.Conv2D(32, 3, padding="same", name=f"conv{number}")(x)
        x = layers.BatchNormalization()(x)
        if custom is not None and number == 1:
            x = custom(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x), name="network")


@pytest.fixture(scope="module")
def model():
    return network()


def macs(model):
    return sum(DependencyGraph(model).macs().values())


def test_macs_are_those_of_the_formula(model):
    expected = 64 * 9 * (3 * 32 + 32 * 32 + 32 * 32) + 32 * 5
    assert macs(model) == expected


@pytest.mark.parametrize("ranking", ["global", "layer"])
@pytest.mark.parametrize("amount", [0.3, 0.5, 0.9])
def test_macs_stay_within_the_fraction_but_close(model, ranking, amount):
    smaller = kc.shrink(model, macs=amount, ranking=ranking)
    assert 0.9 * amount * macs(model) < macs(smaller) <= amount * macs(model)


def test_half_of_the_macs_by_default(model):
    assert macs(kc.shrink(model)) <= 0.5 * macs(model)


def test_parameters_bytes_and_channels(model):
    assert kc.shrink(model, parameters=0.5).count_params() <= 0.5 * model.count_params()
    assert kc.shrink(model, bytes=20_000).count_params() * 4 <= 20_000
    smaller = kc.shrink(model, channels=0.5, ranking="layer")
    assert [smaller.get_layer(f"conv{i}").filters for i in range(3)] == [16, 16, 16]


def test_model_stays_as_it_was(model):
    before = [weight.numpy() for weight in model.weights]
    kc.shrink(model)
    for weight, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, array)


def test_largest_filters_stay(model):
    copy = keras.models.clone_model(model)
    conv = copy.get_layer("conv0")
    kernel = np.asarray(conv.kernel) * np.repeat([0.1, 10], 16).astype("float32")
    conv.kernel.assign(kernel)
    smaller = kc.shrink(copy, channels=0.5, ranking="layer", exclude=["conv1", "conv2"])
    np.testing.assert_array_equal(smaller.get_layer("conv0").kernel, kernel[..., 16:])


@pytest.mark.parametrize(("round_to", "step"), [(8, 8), (12, 12), ("cortex_m4", 4)])
def test_kept_channels_are_multiples_of_a_number_or_of_the_profile_s(model, round_to, step):
    smaller = kc.shrink(model, macs=0.4, round_to=round_to)
    filters = [smaller.get_layer(f"conv{i}").filters for i in range(3)]
    assert all(number % step == 0 or number == 32 for number in filters)
    assert macs(smaller) <= 0.4 * macs(model)


def test_excluded_layers_keep_their_channels(model):
    smaller = kc.shrink(model, exclude=["conv1"])
    assert smaller.get_layer("conv1").filters == 32


def test_report_adds_up_and_tells_who_is_protected(model):
    smaller, report = kc.shrink(model, return_report=True)
    assert report.parameters == (model.count_params(), smaller.count_params())
    assert report.macs == (macs(model), macs(smaller))
    (reason,) = report.protected.values()
    assert "applies softmax across them" in reason
    text = str(report)
    assert "conv1" in text and "macs:" in text
    assert report.to_json().startswith("{")


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


class DoubledRule(PropagationRule):
    operations = ("Doubled",)

    def propagate(self, call, inputs, channels):
        return inputs


def test_unknown_layers_protect_what_reaches_them_and_are_named():
    custom = network(Doubled(name="mystery"))
    smaller, report = kc.shrink(custom, macs=0.6, return_report=True)
    assert report.unknown == ("mystery",)
    assert "mystery is a Doubled, which has no rule" in report.protected["conv1"]
    assert smaller.get_layer("conv1").filters == 32
    x = np.zeros((1, 8, 8, 3))
    assert smaller(x).shape == custom(x).shape


def test_a_rule_of_the_user_frees_a_custom_layer():
    custom = network(Doubled(name="mystery"))
    smaller = kc.shrink(custom, macs=0.3, rules=[DoubledRule()])
    assert smaller.get_layer("conv1").filters < 32


def test_what_reduces_over_channels_protects_them():
    """keras.ops.average shares its name with a layer that merges channels one by one."""
    inputs = keras.Input((8, 6))
    x = layers.Dense(8, name="hidden")(layers.Dense(32)(inputs))
    averaged = keras.Model(inputs, layers.Dense(2)(keras.ops.average(x, axis=-1)))
    smaller, report = kc.shrink(averaged, macs=0.5, return_report=True)
    assert smaller.get_layer("hidden").units == 8
    assert "hidden" in report.protected


def test_lambda_layers_are_kept():
    custom = network(layers.Lambda(lambda x: 2 * x, name="twice"))
    assert kc.shrink(custom, macs=0.7).get_layer("conv1").filters == 32


def test_remove_zeros_folds_shifts_into_biases(model):
    copy = keras.models.clone_model(model)
    shifted = copy.get_layer("conv2")
    kernel = np.asarray(shifted.kernel).copy()
    kernel[..., :20] = 0
    shifted.kernel.assign(kernel)
    for layer in copy.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.beta.assign(np.linspace(-1, 1, 32))
    smaller, report = kc.remove_zeros(copy, return_report=True)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_allclose(smaller(x), copy(x), rtol=1e-5, atol=1e-6)
    assert smaller.get_layer("conv2").filters == 12 and report.free_channels == 20


def test_all_but_one_channel_of_a_dead_layer_goes(model):
    copy = keras.models.clone_model(model)
    copy.get_layer("conv1").kernel.assign(np.zeros((3, 3, 32, 32)))
    smaller = kc.remove_zeros(copy)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_allclose(smaller(x), copy(x), rtol=1e-5, atol=1e-6)
    assert smaller.get_layer("conv1").filters == 1


def test_nested_models_are_flattened_with_names_apart(model):
    def block(name):
        parts = [keras.Input((8,)), layers.Dense(8, name="fc", activation="relu")]
        return keras.Sequential(parts, name=name)

    outer = keras.Sequential([keras.Input((8,)), block("a"), block("b"), layers.Dense(2)])
    smaller = kc.shrink(outer, parameters=0.6)
    assert {"fc", "b_fc"} <= {layer.name for layer in smaller.layers}


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"macs": 0}, "would empty every layer"),
        ({"macs": -1.0}, "Received: macs=-1.0"),
        ({"macs": 0.5, "bytes": 0.5}, "Only one of"),
        ({"macs": 0.001}, "must remain"),
        ({"criterion": "taylor"}, "Pass data="),
        ({"criterion": "taylor", "data": (np.zeros((2, 8, 8, 3)), np.zeros(2))}, "loss="),
        ({"criterion": "taylor", "data": (np.zeros((2, 8, 8, 3)), np.zeros(3))}, "same number"),
        ({"round_to": 0}, "round_to"),
        ({"ranking": "both"}, "ranking"),
        ({"minimum": -1}, "minimum"),
        ({"exclude": ["conv9"]}, "conv2"),
    ],
)
def test_errors_tell_what_to_do(model, arguments, words):
    with pytest.raises(InvalidArgumentError, match=words):
        kc.shrink(model, **arguments)


def test_unknown_criterion_offers_the_nearest(model):
    with pytest.raises(UnknownNameError, match="Did you mean 'taylor'"):
        kc.shrink(model, criterion="tailor")


def test_subclassed_models_are_refused():
    with pytest.raises(UnsupportedModelError, match="subclassed"):
        kc.shrink(Subclassed())


def test_a_layer_that_its_config_cannot_make_anew_is_copied_as_it_is():
    class NeedsFactor(layers.Layer):
        def __init__(self, factor):
            super().__init__(name="needs_factor")
            self.factor = factor

        def get_config(self):
            return {"name": self.name}

        def call(self, x):
            return x * self.factor

    small = kc.shrink(network(NeedsFactor(2)), macs=0.8)
    assert small.get_layer("needs_factor").factor == 2


def test_wrapped_models_are_refused_and_stripped_ones_keep_their_zeros_for_removal(model):
    wrapped = kc.compress(model, pruning=kc.Pruning())
    with pytest.raises(UnsupportedModelError, match="kc.strip.*wrapped conv0"):
        kc.shrink(wrapped, macs=0.5)
    assert macs(kc.shrink(kc.strip(wrapped), macs=0.5)) <= 0.5 * macs(model)


def test_free_input_sizes_need_another_amount():
    inputs = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(layers.Conv2D(8, 3)(inputs)))
    free = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(InvalidArgumentError, match="input sizes"):
        kc.shrink(free, macs=0.5)
    assert kc.shrink(free, parameters=0.5).count_params() <= 0.5 * free.count_params()
