import keras
import numpy as np

import keras_compress as kc
from keras_compress.converters.deployment import prepare
from keras_compress.converters.promises import expected_zeros


def test_zeros_of_a_plain_model_in_the_layout_of_the_file():

    from keras import layers

    inner = keras.Sequential([keras.Input((2,)), layers.Dense(3, name="dense")], name="inner")
    inputs = keras.Input((4, 2))
    outputs = inner(layers.LSTM(2, name="memory")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="full")(outputs))
    dense = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 4.0]])
    inner.layers[0].set_weights([dense, np.zeros(3)])
    recurrent = model.get_layer("memory").get_weights()
    recurrent[0][0] = 0
    model.get_layer("memory").set_weights(recurrent)
    found = {zeros.layer: zeros for zeros in expected_zeros(prepare(model, batch_size=None))}
    assert set(found) == {"inner/dense", "memory"}
    np.testing.assert_array_equal(found["inner/dense"].zeros, dense.T == 0)
    assert found["inner/dense"].placed and not found["memory"].placed
    assert found["memory"].zeros.sum() == 8


def test_zeros_inside_a_custom_layer_are_those_of_kernels():
    class Attending(keras.layers.Layer):
        compress_inside = False

        def build(self, shape):
            self.token = self.add_weight(name="token", shape=(1, 4), initializer="zeros")
            self.scale = self.add_weight(name="scale", shape=(2, 2), initializer="identity")
            self.attention = keras.layers.MultiHeadAttention(2, 2)
            self.attention.build(shape, shape)

        def call(self, x):
            x = keras.ops.concatenate([x + self.token] * 2, axis=-1)[..., :4]
            return self.attention(x, x) * keras.ops.sum(self.scale)

    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, Attending(name="it")(inputs))
    kernel = model.get_layer("it").attention.query_dense.kernel
    kernel.assign(keras.ops.convert_to_numpy(kernel) * (np.arange(16).reshape(4, 2, 2) > 2))
    expected = expected_zeros(prepare(model, batch_size=None))
    assert sorted(zeros.zeros.sum() for zeros in expected) == [2, 3]
    assert not any(zeros.placed for zeros in expected)


def test_masks_of_a_compressed_model_come_first(trained):
    found = {zeros.layer: zeros for zeros in expected_zeros(prepare(trained, batch_size=None))}
    kernel = found["probs"].zeros
    assert kernel.shape == (4, 8) and kernel.sum() == 16
    assert (kernel.reshape(-1, 4).sum(axis=1) == 2).all()


def test_zeros_are_found_where_the_last_operator_has_lost_its_name():
    """A convolution that makes the model's output takes the output's name in the file."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="stem")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, keras.layers.ReLU(name="last")(x))
    samples = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype("float32")
    spec = kc.Quantization(profile="android_cpu", weight_bits=4)
    compressed = kc.calibrate(kc.compress(model, quantization=spec), samples)
    assert kc.convert(compressed, "android_cpu").content
