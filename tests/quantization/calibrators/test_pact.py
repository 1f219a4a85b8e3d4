import keras
import numpy as np

import keras_compress as kc
from keras_compress.quantization.calibrators.pact import Pact
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer


def test_gradient_of_the_upper_end_counts_what_is_clipped():
    import tensorflow as tf

    quantizer = ActivationQuantizer(calibrator=Pact(decay=0.0))
    values = tf.constant([0.1, 0.4, 0.9, 2.0, 3.0])
    quantizer(values)
    quantizer.set_range(0.0, 1.0)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(quantizer(values, training=True))
    assert float(tape.gradient(total, quantizer.maximum.value)) == 2.0


def test_fit_moves_the_range_and_the_penalty_draws_it_in():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    )
    model = kc.compress(model, quantization=kc.Quantization(calibrator=Pact(decay=0.5)))
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    kc.calibrate(model, x)
    (first, *_) = [layer for layer in model.layers if isinstance(layer, ActivationQuantizer)]
    before = first.range
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    model.fit(x, np.zeros((64, 2), "float32"), verbose=0, callbacks=[kc.QuantizationCallback()])
    assert before[0] < first.range[0] and first.range[1] < before[1]
