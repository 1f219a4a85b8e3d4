"""How cost grows with the number of layers and of calibration samples: fitted exponents.

    python benchmarks/growth.py
    python benchmarks/growth.py --networks chain --layers 10 30 100 --steps compress check

Two networks of 1x1 convolutions on 4x4 maps, so that the layers count and not their arithmetic:
a chain of convolution and ReLU, and residual blocks of two convolutions with BatchNormalization.
A cost is the processor's time, the converter's child process included; the first call of each
step, which also loads modules, is made on a small network and left out. The exponent b is that
of cost = constant * layers^b, fitted to the logarithms of the larger half of the sizes: 1 is
linear, below it a constant part still shows. Writes its section of RESULTS.md; `--section ""`
prints only.
"""

import argparse
import gc
import resource
import sys
import warnings
from functools import partial

import keras
import numpy as np
import psutil
import results
from keras import layers
from training import versions

import keras_compress as kc
from keras_compress.tflite.inspection import inspect

CHANNELS = 8
SHAPE = (4, 4, CHANNELS)
SAMPLES = 10


def chain(count):
    """Return about `count` layers, one after the other."""
    x = inputs = keras.Input(SHAPE)
    for _ in range(count // 2):
        x = layers.ReLU()(layers.Conv2D(CHANNELS, 1)(x))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def residual(count):
    """Return about `count` layers in residual blocks of seven."""
    x = inputs = keras.Input(SHAPE)
    for _ in range(max(1, count // 7)):
        y = layers.BatchNormalization()(layers.Conv2D(CHANNELS, 1, use_bias=False)(x))
        y = layers.Conv2D(CHANNELS, 1, use_bias=False)(layers.ReLU()(y))
        x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


NETWORKS = {"chain": chain, "residual": residual}


def processor_seconds(function):
    """Return the processor time of a call, here and in the converter's process, and its result."""
    gc.collect()
    start = _processor()
    result = function()
    return _processor() - start, result


def _processor():
    """Return the processor time of this process and of the converter's, living or ended."""
    living = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(sum(p.cpu_times()[:2]) for p in living)


def samples(count):
    return np.random.default_rng(0).random((count, *SHAPE), np.float32)


def costs(build, count):
    """Return the processor seconds of each step for a network of about `count` layers."""
    model, x = build(count), samples(SAMPLES)
    taken = {"layers": len(model.layers)}
    quantized = kc.Quantization(profile="generic_int8")
    taken["compress"], compressed = processor_seconds(
        partial(kc.compress, model, pruning=kc.Pruning(), quantization=quantized)
    )
    taken["calibrate"], _ = processor_seconds(partial(kc.calibrate, compressed, x))
    taken["shrink"], _ = processor_seconds(partial(kc.shrink, model, macs=0.5))
    taken["convert"], converted = processor_seconds(partial(kc.convert, compressed))
    taken["check"], _ = processor_seconds(partial(kc.check, converted, "cortex_m7"))
    taken["inspect"], _ = processor_seconds(partial(inspect, converted.content))
    evaluate = partial(kc.evaluate, converted, x, np.zeros(SAMPLES, int), latency_runs=0)
    taken["evaluate"], result = processor_seconds(evaluate)
    report = partial(kc.report, result, model=converted, targets=["cortex_m7"])
    taken["report"], _ = processor_seconds(lambda: report().to_html())
    return taken


def calibration_costs(count):
    """Return the processor seconds of what goes through `count` calibration samples."""
    model, x = chain(20), samples(count)
    compressed = kc.compress(model, quantization=kc.Quantization())
    taken = {"samples": count}
    taken["calibrate"], _ = processor_seconds(partial(kc.calibrate, compressed, x))
    convert = partial(kc.convert, model, representative_dataset=x, calibration_samples=count)
    taken["convert"], _ = processor_seconds(convert)
    return taken


def exponent(sizes, seconds):
    """Return b of seconds = constant * sizes^b over the larger half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def with_exponents(rows):
    """Return rows for a table: seconds, and the exponents at the foot."""
    size, *steps = rows[0]
    sizes = np.array([row[size] for row in rows], float)
    fitted = {s: f"{exponent(sizes, np.array([row[s] for row in rows])):.2f}" for s in steps}
    return [
        *({size: row[size], **{s: f"{row[s]:.2f}" for s in steps}} for row in rows),
        {size: "exponent", **fitted},
    ]


def measured(cost, sizes):
    """Return one row a size; a first call on the smallest, which loads modules, is left out."""
    cost(min(sizes))
    rows = []
    for size in sizes:
        rows.append(cost(size))
        print({key: round(value, 2) for key, value in rows[-1].items()}, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--layers", nargs="+", type=int, default=[10, 30, 100, 300, 1000])
    parser.add_argument(
        "--samples", nargs="*", type=int, default=[10, 30, 100, 300, 1000, 3000, 10_000]
    )
    parser.add_argument("--section", default="Growth with layers and samples")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    # Keras walks a model's layers by recursion: Python's usual limit ends at about 330 in a row.
    sys.setrecursionlimit(20_000)
    paragraphs = []
    for name in options.networks:
        rows = measured(partial(costs, NETWORKS[name]), options.layers)
        paragraphs += [f"Processor seconds, {name}:", results.table(with_exponents(rows))]
    if options.samples:
        rows = measured(calibration_costs, options.samples)
        text = "Processor seconds by calibration samples, a chain of 20 layers:"
        paragraphs += [text, results.table(with_exponents(rows))]
    print("\n\n".join(paragraphs))
    if options.section:
        results.write_section(options.section, results.provenance(versions()), *paragraphs)


if __name__ == "__main__":
    main()
