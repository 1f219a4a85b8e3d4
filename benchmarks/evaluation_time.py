"""What scoring costs: `kc.evaluate` against bare LiteRT calls, in turns in one run.

    python benchmarks/evaluation_time.py --images 10000

Three ways through the same int8 ResNet8 (untrained: time does not depend on the weights):
`kc.evaluate` from float images to the accuracy; bare batched `invoke` on all cores with inputs
that are quantized already; and the usual loop that quantizes, sets, invokes and reads one
sample at a time. Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import os
import time

import numpy as np
import results
from ai_edge_litert.interpreter import Interpreter
from networks import resnet8
from training import versions

import keras_compress as kc

BATCH = 64


def int8_resnet8():
    """Return the bytes of an int8 ResNet8."""
    samples = np.random.default_rng(0).random((20, 32, 32, 3), np.float32)
    return bytes(kc.convert(resnet8(), representative_dataset=samples))


def quantize(x, details):
    scale, zero_point = details["quantization"]
    return np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)


def batched(content, x):
    """Return the seconds of bare batched calls on all cores; `x` is quantized beforehand."""
    interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
    given = interpreter.get_input_details()[0]
    taken = interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(given["index"], (BATCH, *x.shape[1:]))
    interpreter.allocate_tensors()
    integers = quantize(x, given)
    start = time.perf_counter()
    for begin in range(0, len(x) - BATCH + 1, BATCH):
        interpreter.set_tensor(given["index"], integers[begin : begin + BATCH])
        interpreter.invoke()
        interpreter.get_tensor(taken)
    return time.perf_counter() - start


def one_by_one(content, x, y):
    """Return the seconds of the loop that tutorials show."""
    start = time.perf_counter()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    taken = interpreter.get_output_details()[0]["index"]
    hits = 0
    for image, label in zip(x, y, strict=True):
        interpreter.set_tensor(given["index"], quantize(image[None], given))
        interpreter.invoke()
        hits += interpreter.get_tensor(taken)[0].argmax() == label
    return time.perf_counter() - start


def evaluated(content, x, y):
    """Return the seconds of `kc.evaluate` on a trusted file, its latency measurement left out."""
    start = time.perf_counter()
    kc.evaluate(content, x, y, latency_runs=0, untrusted=False)
    return time.perf_counter() - start


def measure(images, turns):
    """Return {way: [seconds of each turn]}."""
    content = int8_resnet8()
    rng = np.random.default_rng(0)
    x, y = rng.random((images, 32, 32, 3), np.float32), rng.integers(0, 10, images)
    ways = {
        "kc.evaluate": lambda: evaluated(content, x, y),
        "bare, batched": lambda: batched(content, x),
        "loop, one by one": lambda: one_by_one(content, x, y),
    }
    times = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            taken = way()
            if turn > 0:
                times[name].append(taken)
    return {name: np.array(t) for name, t in times.items()}


def ratios(times):
    """Return the throughput of `kc.evaluate` over that of each other way."""
    ours = times["kc.evaluate"]
    return {n: float(np.median(t / ours)) for n, t in times.items() if n != "kc.evaluate"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--section", default="Evaluation: throughput of kc.evaluate")
    options = parser.parse_args()
    times = measure(options.images, options.turns)
    row = {"network": f"resnet8 int8, {options.images} images"}
    row |= {f"{name} s": round(float(np.median(t)), 3) for name, t in times.items()}
    row |= {f"throughput / ({name})": round(r, 2) for name, r in ratios(times).items()}
    print(row)
    if options.section:
        facts = results.provenance(
            versions(), turns=options.turns, threads=f"{os.cpu_count()}; one in the loop"
        )
        results.write_section(options.section, facts, results.table([row]))


if __name__ == "__main__":
    main()
