"""What holds for every rewrite, whoever adds it: it is asked for, applied, and changes nothing."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_compress.converters.rewrites.base import Rewrite
from keras_compress.converters.rewriting import REWRITES, rewrite
from keras_compress.edge_profiles import profile
from keras_compress.support import plugins

MAP, SEQUENCE = (8, 8, 4), (8, 4)


def prelu(shared=False, **options):
    def apply(x):
        layer = layers.PReLU(name="trap", **options)
        y = layer(x)
        shape = (1, 1, shared) if shared else layer.get_weights()[0].shape
        slopes = np.random.default_rng(0).uniform(0, 1, shape)
        layer.set_weights([np.broadcast_to(slopes, layer.get_weights()[0].shape)])
        return y

    return apply


# Rewrite -> what it is for: shape of the input, layers, profiles that ask for it.
CASES = {
    "upsampling_nearest": [
        (MAP, layers.UpSampling2D((2, 3), name="trap"), ["coral_edgetpu", "cortex_m4"]),
        (MAP, layers.UpSampling2D(2, name="trap"), ["android_gpu"]),
        (SEQUENCE, layers.UpSampling1D(3, name="trap"), ["coral_edgetpu", "rp2040"]),
    ],
    "max_pool_relu": [
        (MAP, [layers.MaxPooling2D(2, name="trap"), layers.ReLU(6.0)], ["coral_edgetpu"]),
        (SEQUENCE, [layers.MaxPooling1D(2, name="trap"), ops.relu], ["coral_edgetpu"]),
    ],
    "average_pool_relu": [
        (MAP, [layers.AveragePooling2D(2, name="trap"), layers.ReLU()], ["coral_edgetpu"]),
        (
            MAP,
            [layers.AveragePooling2D((4, 2), 2, "same", name="trap"), layers.ReLU()],
            [],
        ),
        (
            MAP,
            [layers.AveragePooling2D(2, padding="same", name="trap"), layers.Activation("relu6")],
            ["coral_edgetpu"],
        ),
    ],
    "prelu_slopes": [
        (MAP, prelu(), ["coral_edgetpu"]),
        (MAP, prelu(shared=4), ["coral_edgetpu"]),
        (MAP, prelu(shared_axes=[1, 2]), []),
    ],
    "prelu_16_bits": [(MAP, prelu(), ["generic_int16x8"])],
    "leaky_relu": [
        (MAP, layers.LeakyReLU(0.3, name="trap"), ["coral_edgetpu"]),
        (MAP, layers.Conv2D(3, 1, activation="leaky_relu", name="trap"), ["coral_edgetpu"]),
        (SEQUENCE, lambda x: ops.leaky_relu(x, 0.1), ["coral_edgetpu"]),
    ],
    "hard_swish": [
        (MAP, layers.Activation("hard_swish", name="trap"), ["coral_edgetpu", "generic_int16x8"]),
        (MAP, layers.Conv2D(3, 1, activation="hard_silu", name="trap"), ["coral_edgetpu"]),
        (SEQUENCE, ops.hard_silu, ["coral_edgetpu"]),
    ],
    "dense_on_maps": [
        (MAP, layers.Dense(3, activation="relu", name="trap"), ["coral_edgetpu"]),
        (SEQUENCE, layers.Dense(3, use_bias=False, name="trap"), ["coral_edgetpu"]),
    ],
    "squares": [(MAP, ops.square, ["generic_int8", "cortex_m4"])],
    "negatives": [(MAP, ops.negative, ["generic_int8", "ethos_u55_128"])],
    "layer_normalization": [
        (MAP, layers.LayerNormalization(name="trap"), ["generic_int8"]),
        (SEQUENCE, layers.LayerNormalization(center=False, name="trap"), ["cortex_m4"]),
    ],
    "fused_lstm": [
        (SEQUENCE, layers.LSTM(3, name="trap"), ["generic_int8", "cortex_m4"]),
        (SEQUENCE, layers.LSTM(3, unroll=True, name="trap"), ["generic_int8"]),
        (SEQUENCE, layers.LSTM(3, activation="relu", unroll=True, name="trap"), []),
    ],
    "unit_normalization": [
        (SEQUENCE, layers.UnitNormalization(name="trap"), ["generic_int8", "cortex_m4"]),
        (MAP, layers.UnitNormalization(axis=[1, 2], name="trap"), ["generic_int8"]),
        (SEQUENCE, ops.normalize, ["generic_int8"]),
        (SEQUENCE, lambda x: ops.normalize(x, order=1), []),
    ],
    "adaptive_average_pooling": [
        (MAP, layers.AdaptiveAveragePooling2D(2, name="trap"), ["generic_int8", "cortex_m4"]),
        (MAP, layers.AdaptiveAveragePooling2D((3, 5), name="trap"), ["generic_int16x8"]),
        (SEQUENCE, layers.AdaptiveAveragePooling1D(3, name="trap"), ["cortex_m4"]),
    ]
    if "AdaptiveAveragePooling2D" in vars(layers)
    else [],
    "grouped_convolutions": [
        (MAP, layers.Conv2D(6, 3, groups=2, activation="relu", name="trap"), ["coral_edgetpu"]),
    ],
}
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


def network(shape, steps):
    keras.utils.set_random_seed(1)
    source = x = keras.Input(shape, name="source")
    for step in steps if isinstance(steps, list) else [steps]:
        if isinstance(step, layers.Layer):
            step = type(step).from_config(step.get_config())
        x = step(x)
    return keras.Model(source, x)


def test_every_rewrite_has_its_cases():
    assert set(CASES) == set(plugins.names(REWRITES))
    assert all(issubclass(plugins.get(REWRITES, name), Rewrite) for name in CASES)


@pytest.mark.parametrize(("name", "shape", "steps", "targets"), FLAT)
def test_it_is_applied_where_asked_for_and_changes_nothing(name, shape, steps, targets):
    model = network(shape, steps)
    x = np.random.default_rng(0).normal(0, 3, (5, *shape)).astype(np.float32)
    wanted = model.predict_on_batch(x)
    for target in targets:
        found = rewrite(model, profile.get(target))
        assert name in found.rewritten.values()
        assert [tensor.shape for tensor in found.model.outputs] == [
            tensor.shape for tensor in model.outputs
        ]
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(
            found.model.predict_on_batch(x), wanted, rtol=1e-5, atol=1e-6 * scale
        )
    if not targets:
        assert not rewrite(model, profile.get("coral_edgetpu")).rewritten


def test_the_float_baseline_is_never_rewritten():
    float32 = profile.get("float32")
    assert not any(plugins.get(REWRITES, name)().is_needed(float32) for name in CASES)
