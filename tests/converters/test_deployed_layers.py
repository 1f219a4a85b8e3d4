"""What scales each channel and adds to it is one integer operator in the file, as in Keras."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.tflite import flatbuffer

RESCALINGS = {
    "to -1 and 1": {"scale": 1 / 127.5, "offset": -1.0},
    "by channel": {"scale": [1 / 58.0, 1 / 57.0, 1 / 58.4], "offset": [-2.1, -2.0, -1.8]},
    "without offset": {"scale": 1 / 255},
}


@pytest.mark.parametrize("choice", RESCALINGS)
@pytest.mark.parametrize("shape", [(6, 6, 3), (5, 3)])
def test_rescaled_inputs_are_one_operator_and_answer_alike(choice, shape):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(0, 255, (60, *shape)).astype("float32")
    rescaling = layers.Rescaling(**RESCALINGS[choice], name="rescaling")
    model = keras.Sequential([keras.Input(shape), rescaling, layers.Flatten(), layers.Dense(4)])
    model = kc.calibrate(kc.compress(model, quantization="generic_int8"), x)
    converted = kc.convert(model)
    kinds = [op.name for op in flatbuffer.read(converted).operators if op.name != "RESHAPE"]
    assert kinds == ["DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
    step = model.layers[-1].step
    # Zero is no grid point between -1 and 1, so whole numbers end midway between two.
    result = kc.evaluate(converted, x, np.asarray(model(x)), metrics=["mae"])
    assert result.model.metrics["mae"] < 0.2 * float(step)
