"""Times training steps of tensorflow-model-optimization, in turns with another process.

    python benchmarks/tfmot_steps.py NETWORK BATCH_SIZE STEPS

For every line on its input it trains each variant for STEPS steps and prints the median seconds
of a step, as one line of JSON. Used by `step_time.py`.
"""

import json
import sys

import keras2
import tensorflow_model_optimization as tfmot
import tf_keras
from step_turns import StepTimer, turns

NEVER = 10**9


class Timer(StepTimer, tf_keras.callbacks.Callback):
    """`StepTimer` for Keras 2."""


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
    trained = variants(network)
    for model, _ in trained.values():
        model.compile(tf_keras.optimizers.SGD(0.01, 0.9), "sparse_categorical_crossentropy")
    for _, times in zip(sys.stdin, turns(trained, Timer(), batch_size, steps), strict=False):
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
