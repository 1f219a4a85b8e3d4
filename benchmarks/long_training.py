"""Train a tiny network for many steps with both callbacks, and watch memory and traced functions.

    python benchmarks/long_training.py                # 20,000 steps: about a minute
    python benchmarks/long_training.py --steps 400

Ends with status 1 if memory grows by more than its limit after the warm-up, or if any function
is traced in it. It is one process from end to end, for that is whose memory is watched: after a
kill it begins anew.
"""

import argparse
import gc
import platform
import sys
import time

import keras
import numpy as np
import results
from keras import layers

import keras_compress as kc

BATCH = 8
WARM_UP = 0.1  # of the steps: by then all phases have begun and all functions are traced
LIMIT_KB = 4096
EVERY = 200  # steps between two samples


class Watch(keras.callbacks.Callback):
    """Samples resident memory, Python objects and traced functions along the way."""

    def __init__(self, every):
        super().__init__()
        self.every = every
        self.samples = []

    def on_train_batch_end(self, batch, logs=None):
        """Take a sample when one is due."""
        step = int(self.model.optimizer.iterations)
        if step % self.every == 0:
            gc.collect()
            traces = self.model.loss.traces
            self.samples.append((step, resident_kb(), len(gc.get_objects()), traces))
            if len(self.samples) % 10 == 0:
                print(f"step {step}: {resident_kb()} kB, {traces} traces", flush=True)


def resident_kb():
    """Return the process's resident memory in kB; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    except OSError:
        return 0


class CountingLoss(keras.losses.SparseCategoricalCrossentropy):
    """Counts how often Python computes it: once for each function that TensorFlow traces."""

    def __init__(self):
        super().__init__(from_logits=True)
        self.traces = 0

    def call(self, y_true, y_pred):
        """Count, and compute."""
        self.traces += 1
        return super().call(y_true, y_pred)


def network():
    """Return a compressed network of a few hundred weights."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    return kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")


def train(steps, epochs=20):
    """Train, and return the samples.

    Args:
        steps: Updates in all.
        epochs: Calls of the callbacks' epoch methods.

    Returns:
        List of (step, resident kB, Python objects, functions traced).
    """
    rng = np.random.default_rng(0)
    count = BATCH * (steps // epochs)
    x = rng.normal(size=(count, 6, 6, 1)).astype("float32")
    y = rng.integers(0, 3, count)
    model = network()
    model.compile("adam", CountingLoss())
    end = int(steps * WARM_UP)
    # Masks are renewed to the very end, so that renewing them is watched too.
    schedule = kc.PolynomialDecay(final_sparsity=0.8, end_step=steps, frequency=max(1, end // 10))
    watch = Watch(min(EVERY, max(1, end // 2)))
    callbacks = [
        kc.PruningCallback(schedule),
        kc.QuantizationCallback(begin_step=end // 4, freeze_step=end // 2),
        watch,
    ]
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
    return watch.samples


def growth(samples, steps):
    """Return what grew after the warm-up: resident kB, objects, and times a function was traced.

    Memory and objects are the difference between the medians of the first and the last quarter
    of the samples.
    """
    settled = [sample for sample in samples if sample[0] > steps * WARM_UP]
    quarter = max(1, len(settled) // 4)
    first, last = (
        np.median(np.array(part)[:, 1:3], axis=0)
        for part in (settled[:quarter], settled[-quarter:])
    )
    kilobytes, objects = (last - first).astype(int).tolist()
    return kilobytes, objects, settled[-1][3] - settled[0][3]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--section", default="Memory over a long training")
    parser.add_argument("--dry", action="store_true", help="leave RESULTS.md as it is")
    options = parser.parse_args()
    samples = train(options.steps)
    seconds = round(time.process_time())
    kilobytes, objects, traced = growth(samples, options.steps)
    versions = {"python": platform.python_version()}
    versions |= results.package_versions("tensorflow", "keras", "numpy")
    chosen = samples[:: max(1, len(samples) // 8)]
    rows = [
        {"step": s, "resident MB": round(kb / 1024, 1), "Python objects": o, "traces": t}
        for s, kb, o, t in [*chosen, samples[-1]]
    ]
    if not options.dry:
        results.write_section(
            options.section,
            results.provenance(
                versions,
                network="convolution, normalization, Dense: 217 weights, batch 8",
                callbacks="PruningCallback to the end, QuantizationCallback through both phases",
                processor=f"{seconds} s",
            ),
            f"After the first tenth: {kilobytes} kB (medians of the first and last quarter), "
            f"{objects} Python objects, {traced} functions traced anew.",
            results.table(rows),
        )
    print(f"{kilobytes} kB, {objects} objects, {traced} traces, {seconds} processor s")
    sys.exit(int(kilobytes > LIMIT_KB or traced != 0))


if __name__ == "__main__":
    main()
