"""The phase has one home: live model, weights and file say the same, however weights are set."""

import copy
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_compress as kc
from keras_compress.errors import CompressionError, ConversionError
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import Phase, PhasedLayer
from tests.fixtures.batches import batches

X = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 16)


def dense():
    inputs = keras.Input((6, 6, 2))
    x = layers.Dense(8, activation="relu")(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


def convolution():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def depthwise():
    inputs = keras.Input((6, 6, 2))
    x = layers.DepthwiseConv2D(3)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(x))
    x = layers.AveragePooling2D(2)(layers.Conv2D(4, 1)(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def nested():
    backbone = convolution()
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, layers.Dense(3)(backbone(inputs)))


def two_outputs():
    inputs = keras.Input((6, 6, 2))
    x = layers.ReLU()(layers.Conv2D(4, 3)(inputs))
    means = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, [layers.Dense(3)(means), layers.Dense(2)(layers.Flatten()(x))])


INT8, INT4 = kc.Quantization(), kc.Quantization(weight_bits=4)
INT16X8 = kc.Quantization(profile="generic_int16x8")


def compressed(make=dense, quantization=INT8):
    keras.utils.set_random_seed(0)
    model = kc.compress(make(), quantization=quantization)
    model(3 * X, training=True)  # Ranges wider than the values leave coarse, visible steps.
    enter(model, Phase.OFF)
    return model


def enter(model, phase, bits=None):
    for layer in all_layers(model):
        if isinstance(layer, PhasedLayer) and layer.quantizes:
            layer.set_phase(phase)
        if bits is not None and isinstance(layer, CompressedLayer) and layer.quantization:
            layer.set_weight_bits(bits)


def phases(model):
    return {layer.phase for layer in all_layers(model) if isinstance(layer, PhasedLayer)}


def predict(model):
    outputs = model.predict(batches(16, X), verbose=0)
    return np.concatenate([np.ravel(output) for output in keras.tree.flatten(outputs)])


def called(model):
    """Return the outputs of the model's layers, one after the other, in no compiled function."""
    outputs = keras.tree.flatten(model(X))
    return np.concatenate([np.ravel(ops.convert_to_numpy(output)) for output in outputs])


def set_weights(model, source, folder):
    model.set_weights(source.get_weights())
    return model


def load_weights(model, source, folder):
    source.save_weights(folder / "source.weights.h5")
    model.load_weights(folder / "source.weights.h5")
    return model


def restore_checkpoint(model, source, folder):
    path = tf.train.Checkpoint(source).write(folder / "checkpoint")
    tf.train.Checkpoint(model).read(path).assert_consumed()
    return model


def clone(model, source, folder):
    return set_weights(keras.models.clone_model(model), source, folder)


def copy_deeply(model, source, folder):
    return copy.deepcopy(set_weights(model, source, folder))


def save_and_load(model, source, folder):
    set_weights(model, source, folder).save(folder / "model.keras")
    return kc.load_model(folder / "model.keras")


WAYS = [set_weights, restore_checkpoint, save_and_load, load_weights, clone, copy_deeply]
verify = pytest.mark.verify("compiles a network for each way of setting weights")
QUICK = [(way, True, dense) for way in WAYS[:3]]
ALL = [(way, older, convolution) for way in WAYS for older in (True, False)]


@pytest.mark.parametrize(
    ("way", "older", "make"),
    [*QUICK, *(pytest.param(*case, marks=verify) for case in ALL)],
    ids=lambda value: getattr(value, "__name__", "older" if value else "newer"),
)
def test_whatever_sets_the_weights_sets_the_phase_of_compiled_functions(way, older, make, tmp_path):
    model, source = compressed(make), compressed(make)
    live, other = (Phase.FROZEN, Phase.OFF) if older else (Phase.OFF, Phase.FROZEN)
    enter(model, live)
    enter(source, other)
    before, expected = predict(model), called(source)
    assert np.abs(before - expected).max() > 1e-3, "the phases can be told apart"
    model = way(model, source, tmp_path)
    assert phases(model) == {other}
    np.testing.assert_allclose(predict(model), expected, atol=1e-5)
    np.testing.assert_allclose(called(model), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "quantization"),
    [
        (convolution, INT16X8),
        (nested, INT4),
        (two_outputs, INT8),
        pytest.param(dense, INT8, marks=verify),
        pytest.param(convolution, INT4, marks=verify),
        pytest.param(depthwise, INT8, marks=verify),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_compiled_predict_follows_the_weights_of_any_model(make, quantization):
    model = compressed(make, quantization)
    floats = predict(model)
    weights = model.get_weights()
    enter(model, Phase.FROZEN)
    rounded = predict(model)
    assert not np.array_equal(floats, rounded)
    np.testing.assert_allclose(rounded, called(model), atol=1e-5)
    model.set_weights(weights)
    np.testing.assert_array_equal(predict(model), floats)


def test_a_compiled_predict_follows_the_width_of_weights():
    model = compressed(quantization=INT4)
    enter(model, Phase.LEARNING, bits=8)
    eight, weights = predict(model), model.get_weights()
    enter(model, Phase.LEARNING, bits=4)
    four = predict(model)
    assert np.abs(four - eight).max() > 1e-3
    np.testing.assert_allclose(four, called(model), atol=1e-5)
    model.set_weights(weights)
    np.testing.assert_array_equal(predict(model), eight)
    assert model.layers[-2].weight_bits == 8


class RestoreFirst(keras.callbacks.Callback):
    """Puts the weights of the first epoch back, as callbacks do that keep the best."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.weights = self.model.get_weights()
        if epoch == self.at:
            self.model.set_weights(self.weights)

    def on_train_end(self, logs=None):
        if self.at is None:
            self.model.set_weights(self.weights)


def fit(model, *callbacks, first=True, traced=True, **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-2), loss, jit_compile=False, run_eagerly=not traced)
    quantization = kc.QuantizationCallback(begin_step=2, freeze_step=4)
    callbacks = [quantization, *callbacks] if first else [*callbacks, quantization]
    options = {"epochs": 3, "shuffle": False, "verbose": 0} | options
    return model.fit(batches(8, X, Y), callbacks=callbacks, **options)


@pytest.mark.parametrize(
    ("first", "make", "traced"),
    [
        pytest.param(False, dense, True, marks=verify),
        (True, dense, False),
        pytest.param(False, convolution, True, marks=verify),
        pytest.param(True, convolution, True, marks=verify),
    ],
)
def test_weights_restored_at_the_end_bring_their_phase_back(first, make, traced, tmp_path):
    model = compressed(make)
    with pytest.raises(CompressionError, match="earlier epoch.*phase OFF"):
        fit(model, RestoreFirst(at=None), first=first, traced=traced)
    assert phases(model) == {Phase.OFF}
    live = predict(model)
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    assert phases(loaded) == {Phase.OFF}
    np.testing.assert_allclose(predict(loaded), live, atol=1e-6)
    np.testing.assert_allclose(called(model), live, atol=1e-5)
    with pytest.raises(ConversionError, match="restored weights"):
        kc.convert(model, "generic_int8")


def test_weights_restored_in_the_middle_are_quantized_again_before_the_next_batch():
    model = compressed()
    history = fit(model, RestoreFirst(at=1), validation_data=batches(8, X, Y)).history
    assert phases(model) == {Phase.FROZEN}
    loss, logged = model.evaluate(batches(8, X, Y), verbose=0), history["val_loss"][-1]
    assert loss == pytest.approx(logged, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "jit_compile"),
    [
        (dense, False),
        pytest.param(dense, True, marks=pytest.mark.verify("XLA compiles three phases")),
        pytest.param(convolution, False, marks=pytest.mark.verify("traces three phases")),
        pytest.param(convolution, True, marks=pytest.mark.verify("XLA compiles three phases")),
    ],
)
def test_a_traced_custom_loop_sees_the_phases(make, jit_compile):
    live, _ = _custom_loop(make, functools.partial(tf.function, jit_compile=jit_compile))
    eager, observed = _custom_loop(make, lambda step: step)
    assert phases(live) == phases(eager) == {Phase.FROZEN}
    assert observed
    for one, other in zip(live.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def _custom_loop(make, compile_step):
    model, optimizer = compressed(make), keras.optimizers.SGD(1e-2)
    model.compile(optimizer, jit_compile=False)
    quantization = kc.QuantizationCallback(begin_step=2, freeze_step=4)
    callbacks = keras.callbacks.CallbackList([quantization], model=model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @compile_step
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)

    optimizer.build(model.trainable_variables)
    callbacks.on_train_begin()
    for batch in range(6):
        callbacks.on_train_batch_begin(batch)
        step(tf.constant(X), tf.constant(Y))
        callbacks.on_train_batch_end(batch)
    callbacks.on_train_end()
    ranges = [layer for layer in model.layers if type(layer).__name__ == "ActivationQuantizer"]
    return model, all(layer.observed for layer in ranges)
