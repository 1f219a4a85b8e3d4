"""What compression adds to a training step: ratios to plain `fit`, measured in turns in one run.

    python benchmarks/step_time.py --networks resnet8 mobilenet_v1_025 --batch_sizes 64 256

Each variant has a model of its own. The variants take turns of a few steps each, so that a
machine's drift meets all of them; a ratio is the median, over the turns, of the variant's step
time to the plain model's in that turn. A step runs from the begin of one batch to the begin of
the next, callbacks included. Keras compiles with XLA by default; `--xla no` measures without it.
Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import itertools
import time

import keras
import numpy as np
import results
from networks import NETWORKS
from training import versions

import keras_compress as kc

STEPS = 12
NEVER = 10**9


class StepTimer(keras.callbacks.Callback):
    """Notes when each batch begins; listed first, so that all other callbacks are timed."""

    def on_train_begin(self, logs=None):
        """Start anew."""
        self.begins = []

    def on_train_batch_begin(self, batch, logs=None):
        """Note the time."""
        self.begins.append(time.perf_counter())

    def median(self):
        """Return the median step of the last `fit` in seconds, its first step left out."""
        return float(np.median(np.diff(self.begins)[1:]))


def pruned():
    schedule = kc.PolynomialDecay(final_sparsity=0.8, begin_step=0, end_step=NEVER)
    return kc.PruningCallback(schedule)


def variants(network):
    """Return {variant: (model, callbacks)}; the plain model is the first."""
    plain = NETWORKS[network]()
    pruning, quantization = kc.Pruning(), kc.Quantization()
    return {
        "plain": (plain, []),
        "pruning": (kc.compress(plain, pruning=pruning), [pruned()]),
        "quantization": (
            kc.compress(plain, quantization=quantization),
            [kc.QuantizationCallback()],
        ),
        "pruning and quantization": (
            kc.compress(plain, pruning=pruning, quantization=quantization),
            [pruned(), kc.QuantizationCallback()],
        ),
    }


def step_times(network, batch_size, turns, xla=False):
    """Return {variant: [seconds per step of each turn]}."""
    rng = np.random.default_rng(0)
    x = rng.random((batch_size * STEPS, 32, 32, 3), np.float32)
    y = rng.integers(0, 10, len(x))
    trained = variants(network)
    for model, _ in trained.values():
        optimizer = keras.optimizers.SGD(0.01, 0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=xla)
    times = {name: [] for name in trained}
    timer = StepTimer()
    for turn in range(turns + 1):
        for name, (model, callbacks) in trained.items():
            model.fit(x, y, batch_size=batch_size, callbacks=[timer, *callbacks], verbose=0)
            if turn > 0:
                times[name].append(timer.median())
    return times


def ratios(times):
    """Return {variant: median ratio to the plain step}."""
    plain = np.array(times["plain"])
    return {name: float(np.median(np.array(t) / plain)) for name, t in times.items()}


def row(network, batch_size, xla, times):
    plain = 1000 * float(np.median(times["plain"]))
    compressed = {n: round(r, 3) for n, r in ratios(times).items() if n != "plain"}
    name = f"{network}, batch {batch_size}, {'with' if xla else 'without'} XLA"
    return {"network": name, "plain ms": round(plain, 1), **compressed}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet8", "mobilenet_v1_025"])
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--xla", nargs="+", choices=["no", "yes"], default=["no", "yes"])
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--section", default="Training step: ratio to plain fit")
    options = parser.parse_args()
    rows = []
    for case in itertools.product(options.networks, options.batch_sizes, options.xla):
        network, batch_size, xla = *case[:2], case[2] == "yes"
        times = step_times(network, batch_size, options.turns, xla)
        rows.append(row(network, batch_size, xla, times))
        print(rows[-1], flush=True)
    if options.section:
        facts = results.provenance(versions(), turns=f"{options.turns} of {STEPS} steps")
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
