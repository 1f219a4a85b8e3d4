"""What calibrating costs beside a plain `predict` of the same images, in time and in memory.

    python benchmarks/calibration_time.py --images 10000

Each calibrator sets the ranges of a compressed ResNet8 from the images, in turns with
`model.predict` of the plain network on them. A calibration of one batch is measured too: it is
the constant (tracing), and what is above it is compared with `predict`. Memory is the growth of
the process's peak by a third calibration on the images and by a fourth on four times as many (the
same ones again, from a generator), before any `predict`: what the allocator needs to warm up is
in the first two. Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import itertools
import resource
import time

import numpy as np
import results
from cifar10_data import load, source
from networks import NETWORKS
from training import versions

import keras_compress as kc

BATCH = 64


def seconds(work):
    """Return the duration of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mib():
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth_mib(method, model, x):
    """Return by how much the peak grows in a further calibration by all images, and by 4 x as many.

    A call leaves what it traced behind, whatever the number of its images.
    """

    def calibrate(times):
        starts = [*range(0, len(x), BATCH)] * times
        kc.calibrate(model, (x[start : start + BATCH] for start in starts), method=method)
        return peak_mib()

    calibrate(1)
    peaks = [calibrate(times) for times in (1, 1, 4)]
    return [round(after - before, 1) for before, after in itertools.pairwise(peaks)]


def measure(method, plain, model, x, rounds):
    """Return the times of one calibrator."""

    def calibrate(images):
        kc.calibrate(model, images, method=method, batch_size=BATCH)

    def predict(images):
        plain.predict(images, batch_size=BATCH, verbose=0)

    turns = []
    for _ in range(rounds):
        constant = seconds(lambda: calibrate(x[:BATCH]))
        base = seconds(lambda: predict(x))
        turns.append((base, constant, seconds(lambda: calibrate(x))))
    base, constant, whole = map(float, np.median(turns, axis=0))
    ratio = np.median([(w - c) / b for b, c, w in turns])
    return {
        "calibrator": method,
        "predict s": round(base, 2),
        "calibrate s": round(whole, 2),
        "of it constant s": round(constant, 2),
        "ratio without the constant": round(float(ratio), 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", choices=sorted(NETWORKS), default="resnet8")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["min_max", "percentile", "mse"])
    parser.add_argument("--section", default="Calibration time", help="in RESULTS.md")
    options = parser.parse_args()
    x, _ = load("train", options.images)
    plain = NETWORKS[options.network]()
    model = kc.compress(plain, quantization=kc.Quantization())
    memory = {method: growth_mib(method, model, x) for method in options.methods}
    plain.predict(x[:BATCH], batch_size=BATCH, verbose=0)
    rows = []
    for method in options.methods:
        times = measure(method, plain, model, x, options.rounds)
        again, more = memory[method]
        rows.append({**times, "MiB of another call": again, "MiB of one with 4 x the images": more})
        print(rows[-1], flush=True)
    print(results.table(rows))
    if options.section:
        facts = results.provenance(
            versions(),
            data=f"{source()}, {options.images} images in batches of {BATCH}",
            network=f"{options.network}, not trained",
            times=f"medians of {options.rounds} rounds, ratios taken in each round",
        )
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
