"""What the checks cost: `kc.convert` against TensorFlow's bare converter, in turns in one run.

    python benchmarks/conversion_time.py --networks resnet8 mobilenet_v1_025

Both make full-integer files of the same untrained network from the same samples. The first
`kc.convert` of a process also starts the converter's child process; it is shown by itself.
Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import contextlib
import io
import time
import warnings

import numpy as np
import results
from bare_converter import full_int8
from networks import NETWORKS
from training import versions

import keras_compress as kc


def bare(model, samples):
    """Convert by the bare converter, and silently."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return full_int8(model, samples)


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def measure(network, samples, turns):
    """Return the seconds of the first `kc.convert` and those of both converters in each turn."""
    model = NETWORKS[network]()
    x = np.random.default_rng(0).random((samples, *model.input_shape[1:]), np.float32)

    def ours(model, x):
        return kc.convert(model, representative_dataset=x)

    first = seconds(ours, model, x)
    bare(model, x)
    pairs = [(seconds(bare, model, x), seconds(ours, model, x)) for _ in range(turns)]
    return first, np.array(pairs)


def row(network, samples, first, pairs):
    return {
        "network": f"{network}, {samples} samples",
        "TFLiteConverter s": round(float(np.median(pairs[:, 0])), 2),
        "kc.convert s": round(float(np.median(pairs[:, 1])), 2),
        "ratio": ratio(pairs),
        "first kc.convert s": round(first, 2),
    }


def ratio(pairs):
    return round(float(np.median(pairs[:, 1] / pairs[:, 0])), 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet8", "mobilenet_v1_025"])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--section", default="Conversion: ratio to the bare converter")
    options = parser.parse_args()
    rows = []
    for network in options.networks:
        rows.append(
            row(network, options.samples, *measure(network, options.samples, options.turns))
        )
        print(rows[-1], flush=True)
    if options.section:
        facts = results.provenance(versions(), turns=options.turns)
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
