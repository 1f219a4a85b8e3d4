"""Randomly wired networks: the smaller model is correct, whatever is removed."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.shrinking.channel_masks import ChannelMasks, is_variance
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.removal import remove
from tests.fixtures.tables import quickly

SIZE = 6
SEEDS = quickly(range(8), "rebuilds randomly wired networks: a second each", first=4)


class RandomNetwork:
    """Draws layers and connects them to random earlier tensors, all of the same spatial size.

    Args:
        seed: Seed of all draws.
        steps: Number of draws.
    """

    def __init__(self, seed, steps=9):
        self.rng = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        self.inputs = [keras.Input((SIZE, SIZE, 3)) for _ in range(self.rng.integers(1, 3))]
        self.tensors = [layers.Conv2D(8, 1)(self.inputs[0])]
        self.tensors += [layers.Conv2D(8, 3, padding="same")(x) for x in self.inputs]
        self.shared = {}
        kinds = [name for name in dir(self) if name.startswith("add_")]
        for kind in self.rng.choice(kinds, steps):
            self.tensors.append(getattr(self, kind)(self.any()))

    def model(self):
        """Return the model, with two heads so that all branches can matter."""
        flat = layers.Flatten()(self.any())
        last = layers.GlobalAveragePooling2D()(self.tensors[-1])
        mixed = ops.concatenate([layers.GlobalMaxPooling2D()(x) for x in self.tensors[-3:]], -1)
        outputs = [layers.Dense(3)(flat), layers.Dense(2)(last), layers.Dense(2)(mixed)]
        model = keras.Model(self.inputs, outputs)
        for weight in model.weights:
            low = 0.5 if "variance" in weight.path else -0.5
            weight.assign(self.rng.uniform(low, 0.6, weight.shape))
        return model

    def any(self, channels=None):
        """Return a tensor, one with the given number of channels if there is any."""
        fitting = [x for x in self.tensors if channels in (None, x.shape[-1])]
        return fitting[self.rng.integers(len(fitting))]

    def pick(self, *values):
        return values[self.rng.integers(len(values))]

    def add_conv(self, x):
        kernel, dilation = self.pick(1, 3), self.pick(1, 2)
        options = {"use_bias": self.pick(True, False), "dilation_rate": dilation}
        activation = self.pick(None, "relu", "sigmoid", "gelu")
        return layers.Conv2D(8, kernel, padding="same", activation=activation, **options)(x)

    def add_valid_conv(self, x):
        y = layers.Conv2D(8, 3, activation=self.pick(None, "tanh"))(x)
        return layers.ZeroPadding2D(1)(y) if self.pick(True, False) else layers.Resizing(6, 6)(y)

    def add_grouped_conv(self, x):
        channels = x.shape[-1]
        groups = next((g for g in (4, 2, 3) if channels % g == 0), 1)
        return layers.Conv2D(2 * channels, 3, padding="same", groups=groups)(x)

    def add_many_groups(self, x):
        groups = x.shape[-1]
        return layers.Conv2D(2 * groups, 3, padding="same", groups=groups, activation="relu")(x)

    def add_transposed_conv(self, x):
        return layers.Conv2DTranspose(8, 3, padding="same", use_bias=self.pick(True, False))(x)

    def add_depthwise(self, x):
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=self.pick(1, 2))(x)

    def add_separable(self, x):
        return layers.SeparableConv2D(8, 3, padding="same", activation="relu")(x)

    def add_batch_norm(self, x):
        options = {"scale": self.pick(True, False), "center": self.pick(True, False)}
        return layers.BatchNormalization(**options)(x)

    def add_norm(self, x):
        groups = next(g for g in (4, 2, 3, 1) if x.shape[-1] % g == 0)
        kinds = (layers.LayerNormalization(), layers.GroupNormalization(groups))
        return self.pick(*kinds)(x)

    def add_activation(self, x):
        kinds = (layers.ReLU(), layers.LeakyReLU(), layers.PReLU(shared_axes=[1, 2]))
        functions = (ops.tanh, ops.exp, ops.sigmoid, lambda y: 0.5 * y + 1.0, lambda y: 1.0 - y)
        return self.pick(*kinds, *functions)(x)

    def add_sum(self, x):
        kind = self.pick(layers.Add, layers.Subtract, layers.Multiply, layers.Maximum)
        return kind()([x, self.any(x.shape[-1])])

    def add_average(self, x):
        return layers.Average()([x, self.any(x.shape[-1]), self.any(x.shape[-1])])

    def add_concatenation(self, x):
        parts = [x, self.any(), self.pick(*self.inputs, self.any())]
        return layers.Concatenate()(parts)

    def add_squeeze_excite(self, x):
        gate = layers.GlobalAveragePooling2D()(x)
        gate = layers.Dense(4, activation="relu")(gate)
        gate = layers.Dense(x.shape[-1], activation=self.pick("sigmoid", "hard_sigmoid"))(gate)
        return layers.Multiply()([x, layers.Reshape((1, 1, x.shape[-1]))(gate)])

    def add_shuffle(self, x):
        channels = x.shape[-1]
        groups = next(g for g in (4, 2, 3, 1) if channels % g == 0)
        y = layers.Reshape((SIZE, SIZE, groups, channels // groups))(x)
        return layers.Reshape(x.shape[1:])(layers.Permute((1, 2, 4, 3))(y))

    def add_tokens(self, x):
        y = layers.Reshape((SIZE * SIZE, x.shape[-1]))(x)
        attended = layers.MultiHeadAttention(3, 2, use_bias=self.pick(True, False))(y, y)
        return layers.Reshape(x.shape[1:])(layers.Add()([y, attended]))

    def add_pooling(self, x):
        kind = self.pick(layers.MaxPooling2D, layers.AveragePooling2D)
        return kind(3, strides=1, padding="same")(x)

    def add_resampled(self, x):
        return layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x))

    def add_slice(self, x):
        return x[:, :, :, : max(1, x.shape[-1] // 2)]

    def add_shared(self, x):
        channels = x.shape[-1]
        if channels not in self.shared:
            self.shared[channels] = layers.Conv2D(channels, 3, padding="same")
        layer = self.shared[channels]
        return layers.Add()([layer(x), layer(self.any(channels))])

    def add_nested(self, x):
        parts = [layers.Conv2D(8, 1, name="inner"), layers.BatchNormalization(name="inner_bn")]
        return keras.Sequential([keras.Input(x.shape[1:]), *parts])(x)


def outputs(model, seed):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(2, *t.shape[1:])).astype("float32") for t in model.inputs]
    # Explicit, because after a Resizing the layers would otherwise run in training mode.
    return np.concatenate([np.asarray(y).reshape(-1) for y in model(x, training=False)])


def assert_same(actual, expected):
    scale = np.abs(expected).max() + 1e-6
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=2e-5)


def chosen_groups(graph, seed):
    """Return a mask of a third of the removable groups, but never of all groups of a set."""
    chosen = graph.prunable & (np.random.default_rng(seed).random(graph.size) < 1 / 3)
    for coupled in graph.coupled_channels:
        chosen[coupled[0]] = False
    return chosen


@pytest.mark.parametrize("seed", SEEDS)
def test_zero_channels_go_without_a_trace(seed):
    model = RandomNetwork(seed).model()
    graph = DependencyGraph(model)
    chosen = chosen_groups(graph, seed)
    masks = ChannelMasks(graph)
    masks.set(chosen)
    masks.enforce()
    expected = outputs(model, seed)
    assert_same(outputs(kc.remove_zeros(model), seed), expected)
    exact = ~chosen
    exact[list(graph.inexact)] = True
    assert_same(outputs(remove(graph, exact), seed), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_dead_filters_go_with_their_constants_folded(seed):
    model = RandomNetwork(seed).model()
    graph = DependencyGraph(model)
    chosen = chosen_groups(graph, seed)
    for slot in graph.slots:
        if len(slot.weight.shape) > 1 and not graph.is_read(slot) and not is_variance(slot):
            rows = np.moveaxis(np.asarray(slot.weight).copy(), slot.axis, 0)
            rows[chosen[slot.groups]] = 0
            slot.weight.assign(np.moveaxis(rows, 0, slot.axis))
    assert_same(outputs(kc.remove_zeros(model), seed), outputs(model, seed))
