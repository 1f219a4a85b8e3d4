"""Training steps of several models, timed in turns; for either Keras."""

import time

import numpy as np


class StepTimer:
    """Notes when each batch begins; to be mixed into the `Callback` of the Keras that trains.

    Listed first, so that all other callbacks are timed.
    """

    def on_train_begin(self, logs=None):
        """Start anew."""
        self.begins = []

    def on_train_batch_begin(self, batch, logs=None):
        """Note the time."""
        self.begins.append(time.perf_counter())

    def median(self):
        """Return the median step of the last `fit` in seconds, its first step left out."""
        return float(np.median(np.diff(self.begins)[1:]))


def batches(batch_size, steps):
    """Return random images and labels for a number of steps."""
    rng = np.random.default_rng(0)
    images = rng.random((batch_size * steps, 32, 32, 3), np.float32)
    return images, rng.integers(0, 10, len(images))


def turns(trained, timer, batch_size, steps):
    """Yield {variant: median seconds of a step}, turn by turn, without end.

    Args:
        trained: {variant: (compiled model of 32x32 images and 10 classes, callbacks)}.
        timer: A callback with `StepTimer` mixed in.
        batch_size: Images per step.
        steps: Of each variant in a turn.
    """
    x, y = batches(batch_size, steps)
    rng = np.random.default_rng(0)
    while True:
        times = {}
        # What comes before, another process even, leaves caches and memory in another state.
        for name in rng.permutation(list(trained)):
            model, callbacks = trained[name]
            model.fit(x, y, batch_size=batch_size, callbacks=[timer, *callbacks], verbose=0)
            times[name] = timer.median()
        yield times
