"""The 16x8 profiles of microcontrollers give files that TFLite Micro runs."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.edge_profiles import profile

ANOTHER = pytest.mark.verify("converts and runs one more network in TFLite Micro")
NAMES = [name for name in profile.profiles() if name.endswith("_int16")]


def test_they_differ_from_their_boards_in_the_types_alone():
    assert NAMES == ["cortex_m4_int16", "cortex_m55_int16", "cortex_m7_int16"]
    for name in NAMES:
        target, board = profile.get(name), profile.get(name.removesuffix("_int16"))
        assert (target.input_type, target.output_type) == ("int16", "int16")
        assert (target.weight_bits, target.activation_bits) == ((8,), 16)
        assert (target.flash_bytes, target.sram_bytes) == (board.flash_bytes, board.sram_bytes)
        assert target.operators == board.operators


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("cortex_m4_int16", True),
        pytest.param("cortex_m55_int16", False, marks=ANOTHER),
        pytest.param("cortex_m4_int16", False, marks=ANOTHER),
        pytest.param("cortex_m55_int16", True, marks=ANOTHER),
    ],
)
def test_layers_without_a_kernel_of_16_bits_are_rewritten(name, trained):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    hidden = layers.Conv2D(4, 3, padding="same", activation="hard_swish")(inputs)
    hidden = layers.UpSampling2D()(layers.MaxPooling2D()(hidden))
    hidden = layers.PReLU(shared_axes=[1, 2])(layers.Concatenate()([hidden, inputs]))
    hidden = layers.GlobalAveragePooling2D()(hidden)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(hidden))
    x = np.random.default_rng(0).random((32, 8, 8, 3)).astype(np.float32)
    compressed = model
    if trained:
        compressed = kc.compress(model, quantization=name)
        kc.calibrate(compressed, x)
    converted = kc.convert(compressed, name, x)
    assert converted.inspect().float_tensors == 0
    assert kc.check(converted, name).verdict == "runs"
    labels = keras.ops.convert_to_numpy(model(x)).argmax(-1)
    options = {"runtime": "tflite_micro", "latency_runs": 0}
    result = kc.evaluate(converted, x, labels, baseline=model, **options)
    assert result.output_error["sqnr_db"] > 40  # 8 bits have some 35
