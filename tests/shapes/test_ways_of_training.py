"""Ways in which Keras trains: masks, ranges and files are right in each."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from tests.fixtures.batches import batches

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 8)).astype("float32")
Y = RNG.normal(size=(32, 4)).astype("float32")


def network(**kwargs):
    keras.utils.set_random_seed(1)
    body = layers.Dense(16, activation="relu", name="body", **kwargs)
    return keras.Sequential([keras.Input((8,)), body, layers.Dense(4, name="head", **kwargs)])


def trained(model, optimizer="sgd", epochs=2, **kwargs):
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    compressed.compile(optimizer, "mse", **{"jit_compile": False, **kwargs})
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback(0, 6)]
    data = batches(8, X, Y)
    compressed.fit(data, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks)
    return compressed


@pytest.fixture(scope="module")
def ordinary():
    return trained(network())


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"jit_compile": True}, marks=pytest.mark.verify("XLA compiles a network")),
        {"run_eagerly": True},
        {"steps_per_execution": 2},
    ],
    ids=str,
)
def test_the_way_a_step_is_run_changes_nothing(ordinary, arguments):
    other = trained(network(), **arguments)
    assert len(other.weights) == len(ordinary.weights)
    for weight, expected in zip(other.weights, ordinary.weights, strict=True):
        # A weight on the edge of two grid values may fall to either side.
        tolerance = 0 if weight.path.endswith("mask") else 0.02
        np.testing.assert_allclose(weight, expected, rtol=0, atol=tolerance, err_msg=weight.path)


@pytest.mark.filterwarnings("ignore:.*fit will run 4 steps; ranges freeze at step 6")
def test_gradient_accumulation_counts_updates_and_keeps_masks():
    model = trained(network(), keras.optimizers.SGD(gradient_accumulation_steps=2))
    assert int(model.get_layer("body").step) == 4
    assert np.mean(kc.strip(model).get_layer("body").kernel == 0) == 0.5


def test_strip_takes_the_averages_of_an_ema_optimizer_as_keras_leaves_them():
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.asarray(self.model.get_layer("head").layer.bias).copy())

    model = kc.compress(network(), pruning=kc.Pruning(), quantization="generic_int8")
    model.compile(optimizer, "mse", jit_compile=False)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[Spy(), kc.QuantizationCallback()])
    average = np.zeros(4)
    for number, value in enumerate(seen):
        average = value if number == 0 else 0.9 * average + 0.1 * value
    assert not np.allclose(average, seen[-1], rtol=1e-3)
    np.testing.assert_allclose(kc.strip(model).get_layer("head").bias, average, rtol=1e-4)


def test_frozen_layers_stay_frozen_and_are_compressed_all_the_same():
    model = network()
    model.get_layer("body").trainable = False
    before = np.asarray(model.get_layer("body").kernel)
    compressed = trained(model, run_eagerly=True)
    assert [weight.name for weight in compressed.trainable_weights] == ["kernel", "bias"]
    np.testing.assert_array_equal(compressed.get_layer("body").layer.kernel, before)
    kept = np.asarray(kc.strip(compressed).get_layer("body").kernel)
    assert np.mean(kept == 0) == 0.5
    np.testing.assert_array_equal(kept[kept != 0], before[kept != 0])


def test_a_frozen_backbone_trains_its_new_head_alone():
    backbone = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="dense"), layers.BatchNormalization(name="norm")]
    )
    backbone.trainable = False
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(4, name="new")(backbone(inputs, training=False)))
    compressed = trained(model, run_eagerly=True)
    assert [weight.path.split("/")[0] for weight in compressed.trainable_weights] == ["new"] * 2
    plain = kc.strip(compressed)
    assert not np.any(plain.get_layer("norm").moving_mean)
    assert np.mean(plain.get_layer("dense").kernel == 0) == 0.5
    assert kc.inspect(kc.convert(compressed).content).float_tensors == 0


def test_half_precision_trains_and_becomes_integers():
    model = trained(network(dtype="mixed_bfloat16"), run_eagerly=True)
    assert model.get_layer("body").layer.compute_dtype == "bfloat16"
    assert model.get_layer("body").layer.kernel.dtype == "float32"
    assert kc.inspect(kc.convert(model).content).float_tensors == 0


def test_a_normalization_keeps_what_it_was_adapted_to_and_becomes_integers():
    data = np.abs(X) * 100
    norm = layers.Normalization(name="norm")
    norm.adapt(data)
    model = keras.Sequential([keras.Input((8,)), norm, layers.Dense(4, name="head")])
    compressed = kc.compress(model, quantization="generic_int8")
    np.testing.assert_allclose(kc.strip(compressed)(data), model(data), rtol=1e-5)
    kc.calibrate(compressed, data)
    converted = kc.convert(compressed)
    assert kc.inspect(converted.content).operators.keys() >= {"DEPTHWISE_CONV_2D"}
    result = kc.evaluate(converted, data, baseline=model).to_json()
    assert result["output_error"]["sqnr_db"] > 25


def test_an_operation_with_a_number_becomes_integers():
    # Keras 3.15 takes such a product for sparse; MobileNetV3's hard sigmoid is one.
    inputs = keras.Input((8,))
    gate = layers.ReLU(6.0)(layers.Dense(8, name="gate")(inputs) + 3.0) * (1.0 / 6.0)
    model = keras.Model(inputs, layers.Dense(4, name="head")(layers.Multiply()([inputs, gate])))
    compressed = kc.compress(model, quantization="generic_int8")
    kc.calibrate(compressed, X)
    assert kc.inspect(kc.convert(compressed, representative_dataset=X).content).float_tensors == 0
