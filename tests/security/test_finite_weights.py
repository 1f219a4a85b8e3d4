"""A file of weights that are no numbers is never written without a word."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("profile", ["float32", "float16", "dynamic_range", "generic_int8"])
def test_weights_that_are_not_finite_are_refused(profile, value):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
    kernel = np.ones((4, 3), "float32")
    kernel[1, 2] = value
    model.layers[0].kernel.assign(kernel)
    samples = np.ones((4, 4), "float32")
    with pytest.raises(InvalidArgumentError, match="head/kernel"):
        kc.convert(model, profile, samples if profile == "generic_int8" else None, progress=False)
