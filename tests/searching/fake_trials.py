"""Trials without training: what comes out is a function of the recipe."""

import keras
import numpy as np

from keras_compress.searching import conclusion, preparation
from keras_compress.searching.executors.base import Executor
from keras_compress.searching.trial_folder import TrialFolder

X, Y = np.eye(8, dtype="float32"), np.arange(8) % 4


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8,)), keras.layers.Dense(6, name="a"), keras.layers.Dense(4, name="b")]
    layers.append(keras.layers.Softmax())
    return keras.Sequential(layers)


def outcome(job, context):
    """Return what `trial_run.run` would, with figures that the recipe alone decides."""
    with TrialFolder(job, context.search).in_use():
        return _figures(job, context)


def _figures(job, context):
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
    trained = {"accuracy": accuracy, "epochs": job.until, "seconds": 0.01}
    is_measured = job.until in (0, context.tuning.epochs)
    return {**trained, "objectives": objectives} if is_measured else trained


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
    """Have searches make no file: `patch(module, name, function)` replaces what would."""
    patch(preparation, "float_accuracy", lambda plan: 0.9)
    patch(preparation, "removal_figures", lambda plan, space, shares, data: [])
    patch(conclusion, "verified", lambda plan, trial: trial.objectives.to_json())
