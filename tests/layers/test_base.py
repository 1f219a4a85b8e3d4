import keras
import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.layers import base


def test_a_layer_without_kernels_has_no_type():
    assert base.find(keras.layers.Flatten()) is None
    with pytest.raises(InvalidArgumentError, match="one of bidirectional, .*compressed_w.*Flatten"):
        base.type_of(keras.layers.Flatten())


def test_the_type_of_a_layer_is_the_one_that_is_found():
    layer = keras.layers.Dense(2)
    assert type(base.type_of(layer)) is type(base.find(layer))
