"""How much memory a process keeps of each call: calibrate, convert, evaluate, compress, shrink.

    python benchmarks/call_growth.py [--calls 30] [--verbs calibrate convert ...]

Each verb is called so many times on a small network, in a process of its own. A figure is the
growth of the process's resident memory a call, after the fifth, with garbage collected after each:
the slope of a line through all calls. Writes its section of RESULTS.md if all verbs were measured.
"""

import argparse
import gc
import subprocess
import sys

import kill_stages
import numpy as np
import results

VERSIONS = results.package_versions("tensorflow", "keras", "ai-edge-litert", "numpy")
VERBS = ("calibrate", "convert", "evaluate", "compress", "shrink")
WARM_UP = 5


def calls():
    """Return a function without arguments for each verb."""
    import keras_compress as kc

    x, y = kill_stages.data()
    model = kill_stages.network()
    compressed = kill_stages.compressed()
    file = kc.convert(model, representative_dataset=x)
    return {
        # From the fifth batch on it traces the model.
        "calibrate": lambda: kc.calibrate(compressed, np.tile(x, (8, 1, 1, 1)), batch_size=8),
        "convert": lambda: kc.convert(model, representative_dataset=x),
        "evaluate": lambda: kc.evaluate(file, x, y, latency_runs=5, progress=False),
        "compress": kill_stages.compressed,
        "shrink": lambda: kc.shrink(model, channels=0.5),
    }


def grow(verb, count):
    """Call a verb; return the resident bytes after each call."""
    import psutil

    call, process, sizes = calls()[verb], psutil.Process(), []
    for _ in range(count):
        call()
        gc.collect()
        sizes.append(process.memory_info().rss)
    return sizes


def mebibytes_a_call(sizes):
    """Return the slope of a line through the sizes after the warm-up, in MiB a call."""
    later = np.array(sizes[WARM_UP:], float)
    return float(np.polyfit(np.arange(len(later)), later, 1)[0]) / 2**20


def measure(verb, count):
    """Measure a verb in a process of its own; return a row of the table."""
    command = [sys.executable, __file__, "--calls", str(count), "--child", verb]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    sizes = [int(word) for word in run.stdout.splitlines()[-1].split()]
    total = (sizes[-1] - sizes[WARM_UP]) / 2**20
    return {
        "verb": verb,
        "calls": count,
        "MiB a call after the fifth": round(mebibytes_a_call(sizes), 3),
        "MiB from the sixth to the last": round(total, 2),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--child", choices=VERBS)
    arguments = parser.parse_args()
    if arguments.child:
        print(*grow(arguments.child, arguments.calls))
        return
    rows = []
    for verb in arguments.verbs:
        rows.append(measure(verb, arguments.calls))
        print(rows[-1], flush=True)
    if len(rows) == len(VERBS):
        about = "Resident memory that a process keeps of each call on a small network."
        table = results.table(rows)
        results.write_section("Memory of calls", about, table, results.provenance(VERSIONS))


if __name__ == "__main__":
    main()
