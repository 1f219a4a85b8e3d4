"""The short benchmark that `make bench` runs: ratios against their limits, in a few minutes.

    python benchmarks/short.py

Every figure is a ratio of two times measured in turns in this run, for any machine; a busy one
still spreads it. Ends with status 1 if a ratio is beyond its limit.
"""

import sys

import conversion_time
import evaluation_time
import numpy as np
import results
import start_up
import step_time
from allocator import keep_memory

SAMPLES = 500
IMAGES = 5_000
TURNS = 5
STEP_TURNS = 60  # single runs of 20 spread by three hundredths

START_LIMITS = {
    "import keras_compress": 0.6,
    "keras-compress inspect": 2.0,
    "keras-compress check": 2.4,
    "kc.evaluate(untrusted=False), until its first inference": 2.0,
}
STEP_LIMITS = {"pruning": 1.02, "quantization": 1.15, "pruning and quantization": 1.17}


def training_steps():
    """Yield what the callbacks and wrappers add to a step of ResNet8."""
    ratios = step_time.ratios(step_time.step_times("resnet8", 64, STEP_TURNS))
    for name, limit in STEP_LIMITS.items():
        yield f"training step, {name} / plain", ratios[name], "at most", limit


def conversion():
    """Yield what the checks add to a conversion."""
    _, pairs = conversion_time.measure("resnet8", SAMPLES, turns=3)
    yield "kc.convert / TFLiteConverter", conversion_time.ratio(pairs), "at most", 1.15


def evaluation():
    """Yield the throughput of evaluation."""
    ratios = evaluation_time.ratios(evaluation_time.measure(IMAGES, TURNS))
    yield "evaluate / bare batched calls", ratios["bare, batched"], "at least", 0.7
    # On two cores bare batched calls are 2.1 times the loop themselves (RESULTS.md).
    yield "evaluate / loop of single calls", ratios["loop, one by one"], "at least", 1.8


def start_ups():
    """Yield what quick commands take beside Python that imports numpy, in processor time."""
    taken = start_up.measure(TURNS)
    numpy_alone = taken["import numpy"][:, 1]
    for name, limit in START_LIMITS.items():
        ratio = float(np.median(taken[name][:, 1] / numpy_alone))
        yield f"{name} / import numpy", ratio, "at most", limit


def main():
    keep_memory()
    rows = []
    for part in (start_ups, evaluation, conversion, training_steps):
        for name, value, side, limit in part():
            holds = value <= limit if side == "at most" else value >= limit
            rows.append(
                {
                    "measure": name,
                    "value": round(value, 3),
                    "limit": f"{side} {limit}",
                    "verdict": "holds" if holds else "BROKEN",
                }
            )
            print(f"{name}: {value:.3f} ({side} {limit}) {rows[-1]['verdict']}", flush=True)
    print("\n" + results.table(rows))
    sys.exit(any(row["verdict"] == "BROKEN" for row in rows))


if __name__ == "__main__":
    main()
