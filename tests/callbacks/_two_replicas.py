"""Prune the same network on one device and on two replicas of it; print the masks of both.

    python tests/callbacks/_two_replicas.py

A process has to say how many logical devices it has before TensorFlow starts.
"""

import json

import keras
import numpy as np
import tensorflow as tf

import keras_compress as kc

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 6)), RNG.normal(size=(32, 3))


def ends_with(strategy, criterion):
    """Train, and return the masks."""
    with strategy.scope():
        keras.utils.set_random_seed(4)
        parts = [keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(3)]
        model = keras.Sequential([keras.Input((6,)), *parts])
        model = kc.compress(model, pruning=kc.Pruning(criterion=criterion))
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    prune = kc.PruningCallback(kc.OneShot(0.5, step=6), observed_steps=4)
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[prune])
    return [np.asarray(w).tolist() for w in model.weights if w.path.endswith("_mask")]


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    strategies = tf.distribute.OneDeviceStrategy("/cpu:0"), both
    criteria = ("movement", "snip", "wanda")
    print(json.dumps([[ends_with(s, criterion) for criterion in criteria] for s in strategies]))
