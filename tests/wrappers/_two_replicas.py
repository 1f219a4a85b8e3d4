"""Train the same network on one device and on two replicas; print both results.

    python tests/_two_replicas.py [CALIBRATOR]

A process has to say how many logical devices it has before TensorFlow starts.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_compress as kc

BATCHES, BATCH = 6, 8


def batches():
    """Return global batches whose halves, one for each replica, differ in range."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCHES, BATCH, 6, 6, 2)).astype("float32")
    x[:, : BATCH // 2] *= 3
    y = rng.integers(0, 3, (BATCHES, BATCH))
    return tf.data.Dataset.from_tensor_slices((x, y))


def network():
    """Return a network without BatchNormalization, whose statistics each replica has its own of."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), name="image"),
            keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(4, activation="tanh", name="hidden"),
            keras.layers.Dense(3, name="head"),
        ]
    )


def ends_with(strategy, calibrator):
    """Train, and return masks, ranges and counts of observed batches by name."""
    with strategy.scope():
        model = kc.compress(
            network(), pruning=kc.Pruning(), quantization=kc.Quantization(calibrator=calibrator)
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05), loss, jit_compile=False)
    schedule = kc.PolynomialDecay(final_sparsity=0.75, end_step=5, frequency=2)
    callbacks = [kc.PruningCallback(schedule), kc.QuantizationCallback()]
    model.fit(batches(), verbose=0, callbacks=callbacks)
    names = ("_mask", "minimum", "maximum", "count")
    return {w.path: np.asarray(w).tolist() for w in model.weights if w.path.endswith(names)}


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    calibrator = sys.argv[1] if len(sys.argv) > 1 else "moving_average"
    strategies = tf.distribute.OneDeviceStrategy("/cpu:0"), both
    ended = [ends_with(strategy, calibrator) for strategy in strategies]
    print(json.dumps(ended))
