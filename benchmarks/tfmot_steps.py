"""Times training steps of tensorflow-model-optimization, in turns with another process.

    python benchmarks/tfmot_steps.py NETWORK BATCH_SIZE STEPS

For every line on its input it trains each variant for STEPS steps and prints the median seconds
of a step, as one line of JSON. Used by `step_time.py`.
"""

import collections
import json
import sys
import time

import keras2
import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

NEVER = 10**9


class StepTimer(tf_keras.callbacks.Callback):
    """Notes when each batch begins; listed first, so that all other callbacks are timed."""

    def on_train_begin(self, logs=None):
        """Start anew."""
        self.begins = []

    def on_train_batch_begin(self, batch, logs=None):
        """Note the time."""
        self.begins.append(time.perf_counter())


def variants(network):
    """Return {variant: (model, callbacks)}, each with a model of its own."""
    return {
        "plain": (keras2.network(network), []),
        "pruning": (
            keras2.pruned(keras2.network(network), 0.8, NEVER),
            [tfmot.sparsity.keras.UpdatePruningStep()],
        ),
        "quantization": (
            tfmot.quantization.keras.quantize_model(keras2.network(network)),
            [],
        ),
    }


def main():
    network, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = np.random.default_rng(0)
    x = rng.random((batch_size * steps, 32, 32, 3), np.float32)
    y = rng.integers(0, 10, len(x))
    trained = variants(network)
    for model, _ in trained.values():
        model.compile(tf_keras.optimizers.SGD(0.01, 0.9), "sparse_categorical_crossentropy")
    timer, order = StepTimer(), collections.deque(trained)
    for _ in sys.stdin:
        times = {}
        order.rotate()
        for name in order:
            model, callbacks = trained[name]
            model.fit(x, y, batch_size=batch_size, callbacks=[timer, *callbacks], verbose=0)
            times[name] = float(np.median(np.diff(timer.begins)[1:]))
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
