"""Rewrites in the files that come of them."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.converters.rewriting import rewrite
from keras_compress.edge_profiles import profile
from keras_compress.evaluation import runtimes
from keras_compress.evaluation.quantization import dequantize, quantize


@pytest.fixture(scope="module")
def traps():
    """A network with every construct that stops the mapping to an Edge TPU and can be rewritten."""
    keras.utils.set_random_seed(2)
    image = keras.Input((16, 16, 4), name="image")
    x = layers.Conv2D(8, 3, padding="same", groups=2, name="grouped")(image)
    x = layers.PReLU(name="slopes")(x)
    x = layers.ReLU(name="mean_relu")(layers.AveragePooling2D(2, name="mean")(x))
    x = layers.Conv2D(8, 3, padding="same", activation="leaky_relu", name="leaky")(x)
    x = layers.Conv2D(8, 1, name="plain")(x)
    x = layers.ReLU(name="maximum_relu")(layers.MaxPooling2D(2, name="maximum")(x))
    x = layers.UpSampling2D(2, name="upsample")(x)
    x = layers.Activation("hard_swish", name="swish")(layers.Dense(6, name="dense")(x))
    model = keras.Model(image, layers.Conv2D(2, 1, name="map")(x))
    slopes = np.random.default_rng(0).uniform(0, 0.5, (16, 16, 8))
    model.get_layer("slopes").set_weights([slopes])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(size=(100, 16, 16, 4)).astype(np.float32)


def answers(converted, x):
    with runtimes.open_file(converted, "litert_reference") as opened:
        [source], [result] = opened.inputs, opened.outputs
        [y] = opened.run([quantize(x, source.scale, source.zero_point, source.dtype)])
        return dequantize(y, result.scale, result.zero_point)


def sqnr_db(wanted, got):
    return 10 * np.log10((wanted**2).mean() / ((wanted - got) ** 2).mean())


def test_a_network_of_traps_maps_to_the_edge_tpu_as_a_whole(traps, images):
    after = kc.convert(traps, "coral_edgetpu", images)
    verdict = kc.check(after, "coral_edgetpu")
    assert (verdict.verdict, verdict.accelerated_macs) == ("runs", 1.0), str(verdict)
    named = {entry["layer"] for entry in verdict.operators}
    assert {"grouped", "slopes", "mean", "leaky", "upsample", "swish", "map"} <= named
    assert named <= {layer.name for layer in traps.layers}
    assert after.rewritten == {
        "grouped": "grouped_convolutions",
        "slopes": "prelu_slopes",
        "mean": "average_pool_relu",
        "leaky": "leaky_relu",
        "maximum": "max_pool_relu",
        "maximum_relu": "max_pool_relu",
        "upsample": "upsampling_nearest",
        "dense": "dense_on_maps",
        "swish": "hard_swish",
    }
    assert after.to_json()["rewritten"] == after.rewritten
    assert "Rewritten: upsample (upsampling_nearest)" in str(after)
    wanted = traps.predict(images, verbose=0)
    assert sqnr_db(wanted, answers(after, images)) > 25


def test_what_tensorflow_leaves_in_float_is_integer():
    keras.utils.set_random_seed(3)
    source = keras.Input((8, 6), name="source")
    x = layers.LayerNormalization(name="norm")(layers.Dense(6, name="mix")(source))
    x = ops.add(ops.square(x), ops.negative(layers.Dense(6, name="other")(source)))
    model = keras.Model(source, layers.Dense(3, name="head")(layers.Flatten(name="flat")(x)))
    samples = np.random.default_rng(0).normal(size=(100, 8, 6)).astype(np.float32)
    converted = kc.convert(model, "generic_int8", samples)
    assert kc.inspect(converted).float_tensors == 0
    assert set(converted.rewritten.values()) == {"layer_normalization", "squares", "negatives"}
    assert sqnr_db(model.predict(samples, verbose=0), answers(converted, samples)) > 20


def test_16_bits_for_what_has_no_16_bit_operator(images):
    keras.utils.set_random_seed(4)
    source = keras.Input((16, 16, 4), name="source")
    x = layers.PReLU(
        shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.3), name="slopes"
    )(source)
    x = layers.Conv2D(4, 3, activation="hard_silu", name="conv")(x)
    model = keras.Model(source, x)
    converted = kc.convert(model, "generic_int16x8", images)
    assert converted.rewritten == {"slopes": "prelu_16_bits", "conv": "hard_swish"}
    assert kc.check(converted, "generic_int16x8").verdict == "runs"
    assert sqnr_db(model.predict(images, verbose=0), answers(converted, images)) > 35


def test_upsampling_runs_in_tflite_micro_and_repeats_its_pixels():
    pytest.importorskip("tflite_micro.python", reason="tflite-micro is not installed")
    source = keras.Input((4, 5, 2), name="source")
    model = keras.Model(source, layers.UpSampling2D((2, 3), name="upsample")(source))
    samples = np.random.default_rng(0).normal(size=(100, 4, 5, 2)).astype(np.float32)
    converted = kc.convert(model, "cortex_m4", samples)
    x = np.random.default_rng(1).integers(-128, 128, (3, 4, 5, 2)).astype(np.int8)
    with runtimes.open_file(converted, "tflite_micro") as opened:
        [y] = opened.run([x])
    np.testing.assert_array_equal(y, x.repeat(2, axis=1).repeat(3, axis=2))


def test_layers_called_twice_and_kept_layers_stay(images):
    swish = layers.Activation("hard_swish", name="swish")
    source = keras.Input((4, 4, 2), name="source")
    x = swish(layers.Conv2D(2, 1, name="conv")(swish(source)))
    model = keras.Model(source, layers.Dense(2, name="dense")(x))
    found = rewrite(model, profile.get("coral_edgetpu"), kept=["dense"])
    assert found.rewritten == {} and found.model is model
    found = rewrite(model, profile.get("coral_edgetpu"))
    assert found.rewritten == {"dense": "dense_on_maps"}


@pytest.mark.parametrize("kept", ["pool", "relu"])
def test_two_layers_change_places_together_or_not_at_all(kept):
    source = keras.Input((4, 4, 2), name="source")
    pooled = layers.MaxPooling2D(2, name="pool")(source)
    model = keras.Model(source, layers.ReLU(name="relu")(pooled))
    coral = profile.get("coral_edgetpu")
    assert set(rewrite(model, coral).rewritten) == {"pool", "relu"}
    assert rewrite(model, coral, kept=[kept]).rewritten == {}


def test_a_model_that_learned_its_ranges_keeps_its_tensors():
    source = keras.Input((4, 4, 2), name="source")
    x = layers.UpSampling2D(2, name="upsample")(layers.LeakyReLU(name="leaky")(source))
    found = rewrite(keras.Model(source, x), profile.get("coral_edgetpu"), has_ranges=True)
    assert found.rewritten == {"upsample": "upsampling_nearest"}


@pytest.mark.parametrize("way", ["samples", "calibrated"])
def test_embeddings_of_unit_length_are_integers(way):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.UnitNormalization()(layers.Dense(16)(inputs)))
    expected = keras.ops.convert_to_numpy(model(x))
    if way == "calibrated":
        model = kc.compress(model, quantization="generic_int8")
        kc.calibrate(model, x)
    converted = kc.convert(model, "generic_int8", x)
    assert converted.inspect().float_tensors == 0
    found = np.concatenate([answers(converted, sample[None]) for sample in x])
    cosines = (found * expected).sum(-1) / np.linalg.norm(found, axis=-1)
    assert cosines.min() > np.cos(np.deg2rad(8)) and cosines.mean() > np.cos(np.deg2rad(3))
