"""Laws that every layer type keeps: its kernels, how they lie in the file, how they fold."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers

from keras_compress.compression.apply import compress, strip
from keras_compress.layers import base
from keras_compress.spec import Pruning, Quantization
from keras_compress.support import plugins
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import Phase

IMAGE, ROW, FLAT = (6, 6, 4), (6, 4), (4,)
# Type name -> (layer, input shape of one sample, shape of each kernel in the TFLite layout).
CASES = {
    "dense": (lambda: layers.Dense(3), FLAT, [(3, 4)]),
    "einsum_dense": (lambda: layers.EinsumDense("ab,bcd->acd", (3, 2)), FLAT, [(3, 2, 4)]),
    "conv1d": (lambda: layers.Conv1D(3, 2), ROW, [(3, 2, 4)]),
    "conv2d": (lambda: layers.Conv2D(6, (3, 2), groups=2), IMAGE, [(6, 3, 2, 2)]),
    "conv2d_transpose": (
        lambda: layers.Conv2DTranspose(3, (3, 2), strides=2),
        IMAGE,
        [(3, 3, 2, 4)],
    ),
    "depthwise_conv2d": (
        lambda: layers.DepthwiseConv2D((3, 2), depth_multiplier=2),
        IMAGE,
        [(1, 3, 2, 8)],
    ),
    "separable_conv2d": (
        lambda: layers.SeparableConv2D(5, (3, 2), depth_multiplier=2),
        IMAGE,
        [(1, 3, 2, 8), (5, 1, 1, 8)],
    ),
    "conv3d": (lambda: layers.Conv3D(3, (3, 2, 1)), (4, 4, 4, 2), [(3, 2, 1, 2, 3)]),
    "embedding": (lambda: layers.Embedding(7, 3), (5,), [(7, 3)]),
    "lstm": (lambda: layers.LSTM(3), ROW, [(12, 4), (12, 3)]),
    "gru": (lambda: layers.GRU(3, unroll=True), ROW, [(9, 4), (9, 3)]),
    "simple_rnn": (lambda: layers.SimpleRNN(3, unroll=True), ROW, [(3, 4), (3, 3)]),
    "rnn": (
        lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], unroll=True),
        ROW,
        [(12, 4), (12, 3), (6, 3), (6, 2)],
    ),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.GRU(3, unroll=True)),
        ROW,
        [(9, 4), (9, 3), (9, 4), (9, 3)],
    ),
}
RECURRENT = ("lstm", "gru", "simple_rnn", "rnn", "bidirectional")
every_type = pytest.mark.parametrize("name", CASES)


def built(name):
    """Return (layer, input batch, deployed shapes) of a case."""
    make, shape, deployed = CASES[name]
    keras.utils.set_random_seed(1)
    layer = make()
    random = np.random.default_rng(0)
    x = random.normal(size=(8, *shape)).astype(np.float32)
    if name == "embedding":
        x = random.integers(0, 7, size=(8, *shape)).astype(np.int32)
    layer(x)
    return layer, x, deployed


def left_in_float(name):
    """Expect the warning of layers that stay in float, where the type is one of these."""
    # An LSTM is split into a layer of its own, whose kernels are quantized.
    quantized = plugins.get(base.PACKAGE, name).is_quantized or name == "lstm"
    return contextlib.nullcontext() if quantized else pytest.warns(UserWarning, match="float")


def model_of(layer, x):
    return keras.Sequential([keras.Input(x.shape[1:], dtype=str(x.dtype)), layer])


def test_every_file_of_the_package_has_its_case():
    assert set(CASES) == set(base.names())


@every_type
def test_a_layer_and_its_subclass_are_found(name):
    layer, *_ = built(name)
    assert type(base.find(layer)) is plugins.get(base.PACKAGE, name)
    subclass = type("Own", (type(layer),), {})
    assert type(base.find(subclass.from_config(layer.get_config()))) is type(base.find(layer))


def test_other_layers_are_not_found():
    assert base.find(layers.ConvLSTM1D(3, 2)) is None
    assert base.find(layers.BatchNormalization()) is None


@every_type
def test_the_deployed_layout_is_that_of_the_file_and_leads_back(name):
    layer, _, deployed = built(name)
    kernels = base.find(layer).kernels(layer)
    assert len(kernels) == len(deployed)
    for kernel, shape in zip(kernels, deployed, strict=True):
        weights = kernel.variable(layer).numpy()
        there = kernel.to_deployed(weights)
        assert there.shape == shape
        np.testing.assert_array_equal(kernel.from_deployed(there, weights.shape), weights)


@every_type
def test_channel_axes_are_those_that_one_output_channel_depends_on(name):
    layer, x, _ = built(name)
    if name in ("embedding", "separable_conv2d"):
        pytest.skip("a lookup has no channels of its own; a separable layer is taken apart first")
    if name in RECURRENT:
        pytest.skip("a unit's outputs are inputs of all units at the next step")
    (kernel,) = base.find(layer).kernels(layer)
    variable = kernel.variable(layer)
    weights = variable.numpy()
    before = np.asarray(layer(x))
    channel = tuple(
        0 if axis in kernel.channel_axes else slice(None) for axis in range(weights.ndim)
    )
    changed = weights.copy()
    changed[channel] += 1.0
    variable.assign(changed)
    differs = np.asarray(layer(x)) != before
    channels = differs.reshape(-1, *differs.shape[-len(kernel.channel_axes) :])
    if name == "depthwise_conv2d":
        channels = differs.reshape(-1, differs.shape[-1])
    touched = channels.any(axis=0)
    assert touched.sum() == 1 and touched.flat[0]
    # The same channel is the first along the deployed channel axis.
    moved = np.moveaxis(kernel.to_deployed(changed != weights), kernel.deployed_channel_axis, 0)
    assert moved[0].any()
    if len(kernel.channel_axes) == 1 or name == "depthwise_conv2d":
        assert moved[0].all() and not moved[1:].any()


@every_type
def test_folding_is_batch_normalization(name):
    layer, x, _ = built(name)
    layer_type = base.find(layer)
    if not layer_type.fuses_batch_norm:
        pytest.skip("no BatchNormalization is folded into it")
    (kernel,) = layer_type.kernels(layer)
    variable = kernel.variable(layer)
    outputs = np.asarray(layer(x))
    factor = np.linspace(0.5, 2, outputs.shape[-1]).astype(np.float32)
    variable.assign(layer_type.fold(variable.numpy(), factor))
    np.testing.assert_allclose(layer(x), outputs * factor, rtol=1e-4, atol=1e-5)


@every_type
def test_wrapped_trained_and_stripped_it_computes_the_same(name):
    layer, x, _ = built(name)
    every = Pruning(layers=lambda layer: True)
    with left_in_float(name):
        model = compress(model_of(layer, x), pruning=every, quantization=Quantization())
    wrappers = [layer for layer in model.layers if isinstance(layer, CompressedLayer)]
    assert wrappers
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    before = [
        wrapper.variable(kernel).numpy() for wrapper in wrappers for kernel in wrapper.kernels
    ]
    model.train_on_batch(x, np.ones(model(x).shape))
    after = [wrapper.variable(kernel).numpy() for wrapper in wrappers for kernel in wrapper.kernels]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))

    for wrapper in wrappers:
        for prunable in wrapper.prunable_kernels:
            mask = np.ones(prunable.mask.shape)
            mask.flat[::2] = 0
            prunable.mask.assign(mask)
    for phased in model.layers:
        if hasattr(phased, "set_phase"):
            phased.set_phase(Phase.OFF)
    plain = strip(model)
    np.testing.assert_allclose(plain(x), model(x), rtol=1e-5, atol=1e-6)
    kernels = [weight for weight in plain.weights if "bias" not in weight.path]
    assert all(np.mean(weight.numpy() == 0) == pytest.approx(0.5, abs=0.1) for weight in kernels)


@every_type
def test_rounded_kernels_lie_on_the_grid_of_each_channel(name):
    layer, x, _ = built(name)
    with left_in_float(name):
        model = compress(model_of(layer, x), quantization=Quantization(weight_bits=4))
    for wrapper in model.layers:
        if not isinstance(wrapper, CompressedLayer):
            continue
        for kernel in wrapper.kernels:
            weights, scale = np.asarray(wrapper.effective_kernel(kernel)), wrapper.scale(kernel)
            integers = weights / np.asarray(scale)
            np.testing.assert_allclose(integers, np.round(integers), atol=1e-4)
            assert np.abs(np.round(integers)).max() == 2 ** (wrapper.quantization.bits - 1) - 1
            sizes = [weights.shape[axis] for axis in kernel.channel_axes]
            wanted = np.prod(sizes) if kernel.per_channel else 1
            assert np.size(scale) == wanted
