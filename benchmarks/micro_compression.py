"""Weights compressed for TFLite Micro: bytes, entropy, arena and run time, with equal answers.

    python benchmarks/micro_compression.py --network resnet8
    python benchmarks/micro_compression.py --network resnet8 --base_images 2000 --base_epochs 1

From one cached float baseline: plain int8, 75 % pruned, 16 clusters in each channel, and both.
Each is fine-tuned, converted for cortex_m4 and compressed; the compressed file is compared with
the dense one, integer by integer, in TFLite Micro. Writes its section of RESULTS.md; `--section
""` prints only.
"""

import argparse
import time

import keras
import results
from cifar10_data import augmented, load, load_uint8, source
from training import BASELINES, baseline, one_cycle, versions

import keras_compress as kc
from keras_compress.evaluation.runtimes import choose, open_file
from keras_compress.evaluation.runtimes.base import input_details
from keras_compress.exporting.micro.compressed_weights import compress_weights

# What is compressed, and the callbacks beside quantization for a number of steps.
ROADS = {
    "int8": ({}, lambda steps: []),
    "75 % zeros": (
        {"pruning": kc.Pruning()},
        lambda steps: [
            kc.PruningCallback(
                kc.PolynomialDecay(0.75, end_step=steps // 2, frequency=max(1, steps // 40))
            )
        ],
    ),
    "16 clusters": (
        {"clustering": kc.Clustering(clusters=16)},
        lambda steps: [kc.ClusteringCallback(0, steps // 2)],
    ),
    "75 % zeros, 16 clusters": (
        {"pruning": kc.Pruning(), "clustering": kc.Clustering(clusters=16)},
        lambda steps: [
            kc.PruningCallback(
                kc.PolynomialDecay(0.75, end_step=steps // 2, frequency=max(1, steps // 40))
            ),
            kc.ClusteringCallback(steps // 2, steps * 3 // 4),
        ],
    ),
}


def fine_tune(float_model, road, options):
    """Compress the float model by a road and train it for a few epochs at a low rate."""
    settings, callbacks = ROADS[road]
    keras.utils.set_random_seed(options.seed)
    model = kc.compress(float_model, quantization="cortex_m4", **settings)
    data = augmented(*load_uint8("train", options.images), seed=options.seed)
    steps = options.epochs * len(data)
    model.compile(one_cycle(options.learning_rate, steps), "sparse_categorical_crossentropy")
    quantize = kc.QuantizationCallback(begin_step=steps // 2, freeze_step=steps * 3 // 4)
    model.fit(data, epochs=options.epochs, callbacks=[*callbacks(steps), quantize], verbose=2)
    return model


def milliseconds(content, runs=20):
    """Return the median time of one inference in TFLite Micro on this machine."""
    with open_file(content, "tflite_micro") as opened:
        x, _ = load("test", 1)
        tensor = input_details(opened.model)[0]
        sample = [(x / tensor.scale + tensor.zero_point).round().clip(-128, 127).astype("int8")]
        seconds = sorted(opened.time_invocations(sample, runs))
    return 1000 * seconds[runs // 2]


def measure(float_model, road, options):
    """Return a row about the file that comes of a road, and the compressed file's table."""
    start = time.perf_counter()
    model = fine_tune(float_model, road, options)
    seconds = time.perf_counter() - start
    dense = kc.convert(model, "cortex_m4")
    x, y = load("test", options.test_images)
    named = compress_weights(dense, x[:1])
    compressed = compress_weights(dense, x[: options.compared], strip=True)
    accuracy = kc.evaluate(dense, x, y, latency_runs=0).model.accuracy
    row = {
        "road": road,
        "test accuracy %": round(100 * accuracy, 2),
        "dense bytes": len(dense),
        "compressed": named.bytes,
        "stripped": compressed.bytes,
        "of dense": round(compressed.bytes / len(dense), 3),
        "weight bytes": compressed.weight_bytes,
        "entropy": round(compressed.entropy_bytes),
        "over entropy": round(compressed.weight_bytes / compressed.entropy_bytes, 3),
        "arena": compressed.arena["total_bytes"],
        "dense arena": compressed.dense_arena["total_bytes"],
        "time of dense": round(milliseconds(compressed.content) / milliseconds(dense.content), 2),
        "fine-tuning s": round(seconds),
    }
    return row, compressed


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", choices=sorted(BASELINES), default="resnet8")
    parser.add_argument("--roads", nargs="+", choices=sorted(ROADS), default=list(ROADS))
    parser.add_argument("--base_epochs", type=int, help="of the float baseline; default its own")
    parser.add_argument("--base_images", type=int, help="likewise")
    parser.add_argument("--epochs", type=int, default=2, help="of fine-tuning")
    parser.add_argument("--images", type=int, default=50_000, help="for fine-tuning")
    parser.add_argument("--test_images", type=int, default=10_000)
    parser.add_argument("--compared", type=int, default=50, help="images to compare integers on")
    parser.add_argument("--learning_rate", type=float, default=0.02, help="at its peak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--section", default="Weights compressed for TFLite Micro")
    options = parser.parse_args()
    wanted = {"epochs": options.base_epochs, "images": options.base_images}
    changes = {name: value for name, value in wanted.items() if value is not None}
    float_model, record = baseline(options.network, **changes)
    measured = [measure(float_model, road, options) for road in options.roads]
    rows = [row for row, _ in measured]
    table = results.table(rows)
    print(table, *(str(compressed) for _, compressed in measured), sep="\n\n")
    if options.section:
        results.write_section(
            options.section,
            f"{options.network} on CIFAR-10, float accuracy {record['accuracy']:.2%} after "
            f"{record['epochs']} epochs of {record['images']:,} images. Bytes of files with names "
            "(compressed) and without (stripped); weights and their zero-order entropy in bytes; "
            "the arena as TFLite Micro counts it; run time in its reference kernels here. Every "
            f"compressed file gave the dense file's integers on {options.compared} test images.",
            results.provenance(
                versions() | {"tflite-micro": choose("tflite_micro").version()},
                seed=options.seed,
                data=source(),
                **{"fine-tuning": f"{options.epochs} epochs of {options.images:,} images"},
            ),
            table,
        )


if __name__ == "__main__":
    main()
