"""The layer behind the operator computes what Keras' LSTM computes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_compress.converters.sequence_lstm import SequenceLstm

X = np.random.default_rng(0).normal(size=(5, 6, 3)).astype("float32")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_it_computes_the_same_as_the_layer(whole, backwards, bias):
    keras.utils.set_random_seed(0)
    options = {"return_sequences": whole, "go_backwards": backwards, "use_bias": bias}
    lstm = layers.LSTM(4, **options)
    lstm.build(X.shape)
    lstm.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in lstm.get_weights()])
    outputs = SequenceLstm(lstm)(X)
    np.testing.assert_allclose(outputs, lstm(X), rtol=1e-5, atol=1e-6)


def test_the_largest_cell_is_that_of_any_step():
    keras.utils.set_random_seed(0)
    lstm = layers.LSTM(4, return_state=True)
    lstm(X)
    cells = [keras.ops.convert_to_numpy(lstm(X[:, : n + 1])[2]) for n in range(X.shape[1])]
    assert SequenceLstm(lstm).largest_cell(X) == pytest.approx(np.abs(cells).max(), rel=1e-5)
