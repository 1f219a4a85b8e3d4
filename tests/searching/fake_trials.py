"""Trials without training: what comes out is a function of the recipe."""

from pathlib import Path

import keras
import numpy as np

from keras_compress.searching.executors.base import Executor
from keras_compress.searching.halving import Halving

X, Y = np.eye(8, dtype="float32"), np.arange(8) % 4


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8,)), keras.layers.Dense(6, name="a"), keras.layers.Dense(4, name="b")]
    layers.append(keras.layers.Softmax())
    return keras.Sequential(layers)


def outcome(job, context):
    """Return what `trial.run` would, with figures that the recipe alone decides."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    shares = job.recipe.sparsity
    zeros = np.mean(list(shares.values())) if isinstance(shares, dict) else shares
    accuracy = 0.9 - 0.05 * (1 - job.recipe.macs) - 0.1 * zeros**2 + 0.001 * job.until
    objectives = {
        "accuracy": accuracy,
        "flash_bytes": int(1000 * job.recipe.macs * (1 - zeros / 2)),
        "sram_bytes": 100,
        "latency_ms": None,
        "macs": int(72 * job.recipe.macs),
        "verdict": "runs",
    }
    found = {"accuracy": accuracy, "epochs": job.until, "seconds": 0.01}
    is_measured = job.until in (0, context.tuning.epochs)
    return {**found, "objectives": objectives} if is_measured else found


class Counted(Executor):
    """Runs fake trials, notes each, and is interrupted after some."""

    def __init__(self, stop_after=None):
        self.done, self._stop_after = [], stop_after

    def run(self, jobs, context):
        """See `Executor.run`."""
        for job in jobs:
            if len(self.done) == self._stop_after:
                raise KeyboardInterrupt
            self.done.append((job.number, job.until))
            yield job, outcome(job, context)


def without_files(patch):
    """Have searches make no file: `patch(class, name, function)` replaces what would."""
    patch(Halving, "_measure_baseline", lambda self: {"accuracy": 0.9, "bytes": 2000})
    patch(Halving, "_removals", lambda self, plain: [])
    patch(Halving, "_verify", lambda self, best: best.objectives.to_json())
