"""What each technique costs and saves where it is deployed: one network, five int8 files.

    python benchmarks/deployed.py

ResNet8 dense, with half of its channels removed, with 2:4 zeros, 75 % unstructured zeros, and 16
values in each channel. Time, memory and size do not depend on how well it was trained: masks and
values are set in one step without learning, on the baseline from the cache with `--trained`, else
on random weights. LiteRT's latency is measured in turns; TFLite Micro says its arena, Vela its
cycles. Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import gzip
import logging

import keras
import numpy as np
import results
from networks import resnet8
from training import baseline, versions

import keras_compress as kc
from keras_compress.evaluation.runtimes import open_file
from keras_compress.exporting.micro.arena_size import arena_size
from keras_compress.exporting.micro.compressed_weights import compress_weights
from keras_compress.exporting.vela import compile_model
from keras_compress.tflite import flatbuffer

RUNS = 50
BOARD = "cortex_m4"
ACCELERATOR = "ethos_u55_128"


def pruned(model, pattern, sparsity):
    schedule = kc.PruningCallback(kc.ConstantSparsity(sparsity))
    return one_step(kc.compress(model, pruning=kc.Pruning(pattern=pattern)), schedule)


def clustered(model):
    compressed = kc.compress(model, clustering=kc.Clustering(clusters=16))
    return one_step(compressed, kc.ClusteringCallback(0))


def one_step(model, callback):
    """Let a callback do its work; nothing is learned."""
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(images(16), np.zeros(16), batch_size=8, callbacks=[callback], verbose=0)
    return model


WAYS = {
    "dense": lambda model: model,
    "half of the channels": lambda model: kc.shrink(model, channels=0.5),
    "2:4 zeros": lambda model: pruned(model, "2:4", 0.5),
    "75 % zeros": lambda model: pruned(model, "unstructured", 0.75),
    "16 clusters": clustered,
}


def images(count):
    return np.random.default_rng(0).random((count, 32, 32, 3), np.float32)


def file_of(model):
    return kc.convert(model, BOARD, representative_dataset=images(50)).content


def latencies(files, turns):
    """Return {way: [milliseconds of each turn]}: the median of single inferences, in turns."""
    taken = {way: [] for way in files}
    sample = np.zeros((1, 32, 32, 3), np.int8)
    for _ in range(turns):
        for way, content in files.items():
            with open_file(content, "litert") as opened:
                opened.invoke([sample])
                taken[way].append(1000 * np.median(opened.time_invocations([sample], RUNS)))
    return {way: np.array(times) for way, times in taken.items()}


def row(way, content, times, dense_times):
    """Return what there is to say of one file."""
    compressed = compress_weights(content, strip=True)
    compiled = compile_model(content, ACCELERATOR)
    return {
        "int8 file": way,
        "LiteRT ms": round(float(np.median(times)), 3),
        "of dense": round(float(np.median(times / dense_times)), 2),
        "bytes": len(content),
        "gzip bytes": len(gzip.compress(content, mtime=0)),
        "DECODE bytes": compressed.bytes,
        "arena": arena_size(flatbuffer.read(content)).total_bytes,
        "arena, DECODE": compressed.arena["total_bytes"],
        "Vela cycles": compiled.cycles,
        "Vela flash": compiled.flash_bytes,
    }


def pays(row, dense):
    """Name what a technique makes smaller by a tenth or more."""
    columns = [c for c in row if c not in ("int8 file", "of dense")]
    return ", ".join(c for c in columns if row[c] < 0.9 * dense[c]) or "nothing"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trained", action="store_true")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--section", default="Deployed speed and size")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    keras.utils.set_random_seed(0)
    model = baseline("resnet8")[0] if options.trained else resnet8()
    files = {way: file_of(make(model)) for way, make in WAYS.items()}
    times = latencies(files, options.turns)
    rows = [row(way, content, times[way], times["dense"]) for way, content in files.items()]
    rows = [found | {"pays by": pays(found, rows[0])} for found in rows]
    print(results.table(rows))
    if options.section:
        facts = {
            "weights": "of the trained baseline" if options.trained else "random, seed 0",
            "latency": f"one thread, medians of {options.turns} turns of {RUNS} inferences",
            "arena": "TFLite Micro's on a 64-bit host with a tenth of margin; with DECODE its own",
            "Vela": f"{ACCELERATOR}, its model of the accelerator",
        }
        results.write_section(
            options.section, results.provenance(versions(), **facts), results.table(rows)
        )


if __name__ == "__main__":
    main()
