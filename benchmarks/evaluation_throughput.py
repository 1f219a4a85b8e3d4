"""Throughput of `kc.evaluate` beside bare batched invocations and beside the usual loop.

    python benchmarks/evaluation_throughput.py --samples 10000 --rounds 9

All three run one int8 ResNet8 in LiteRT on the same images. Bare: the images were quantized
beforehand; one interpreter with all cores takes batches of 100. Usual: quantize, set, invoke,
read and dequantize one sample after the other. They take turns, and a ratio is the median over
the rounds. Ratios of processor time stand beside those of seconds: other work on the machine
disturbs them less, but they do not show the use of several cores. Writes its section of
RESULTS.md; `--section ""` prints only.
"""

import argparse
import time

import numpy as np
import results
from ai_edge_litert.interpreter import Interpreter
from networks import resnet8
from training import versions

import keras_compress as kc
from keras_compress.evaluation.batching import usable_cores

BATCH = 100


def bare(content, quantized):
    """Run quantized images in batches on all cores."""
    interpreter = Interpreter(model_content=content, num_threads=usable_cores())
    [start], [end] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(start["index"], (BATCH, *quantized.shape[1:]))
    interpreter.allocate_tensors()
    for first in range(0, len(quantized), BATCH):
        interpreter.set_tensor(start["index"], quantized[first : first + BATCH])
        interpreter.invoke()
        interpreter.get_tensor(end["index"])


def usual(content, images, labels):
    """Run and score image by image."""
    interpreter = Interpreter(model_content=content)
    [start], [end] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    (scale, zero_point), (out_scale, out_zero) = start["quantization"], end["quantization"]
    right = 0
    for image, label in zip(images, labels, strict=True):
        quantized = np.clip(np.round(image[None] / scale + zero_point), -128, 127).astype(np.int8)
        interpreter.set_tensor(start["index"], quantized)
        interpreter.invoke()
        output = interpreter.get_tensor(end["index"]).astype(np.float32)
        right += np.argmax((output - out_zero) * out_scale) == label
    return right / len(images)


def timed(function, *arguments, **options):
    """Return (seconds, processor seconds) of a call."""
    start, processor = time.perf_counter(), time.process_time()
    function(*arguments, **options)
    return time.perf_counter() - start, time.process_time() - processor


def quantize(content, images):
    """Quantize images for the file, in parts, as whole arrays would not fit a small machine."""
    interpreter = Interpreter(model_content=content)
    scale, zero_point = interpreter.get_input_details()[0]["quantization"]
    parts = np.array_split(images, max(1, len(images) // 500))
    return np.concatenate(
        [np.clip(np.round(p / scale + zero_point), -128, 127).astype(np.int8) for p in parts]
    )


def measure(content, images, labels, rounds):
    """Return rows for the table, one a way."""
    quantized = quantize(content, images)
    ways = {
        "bare, batched, all cores": lambda: bare(content, quantized),
        "kc.evaluate": lambda: kc.evaluate(
            content, images, labels, latency_runs=0, untrusted=False
        ),
        "usual loop": lambda: usual(content, images, labels),
    }
    taken = np.array([[timed(way) for way in ways.values()] for _ in range(rounds + 1)])[1:]
    rows = []
    for place, name in enumerate(ways):
        ratios = np.median(taken[:, place] / taken[:, 1], axis=0)
        rows.append(
            {
                "way": name,
                "images a second": f"{len(images) / np.median(taken[:, place, 0]):,.0f}",
                "kc.evaluate is as fast, times": f"{ratios[0]:.2f}",
                "the same by processor time": f"{ratios[1]:.2f}",
            }
        )
    return rows


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--section", default="Evaluation throughput")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.random((arguments.samples // BATCH * BATCH, 32, 32, 3), np.float32)
    labels = rng.integers(0, 10, len(images))
    content = kc.convert(resnet8(), representative_dataset=images[:100]).content
    table = results.table(measure(content, images, labels, arguments.rounds))
    print(table)
    if arguments.section:
        facts = {"images": f"{len(images):,} float32 of 32x32x3", "cores": usable_cores()}
        results.write_section(arguments.section, results.provenance(versions(), **facts), table)


if __name__ == "__main__":
    main()
