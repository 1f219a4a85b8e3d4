"""The same road in several processes: byte-identical files and reports, times apart.

    python benchmarks/determinism.py [--processes 5] [--networks convolutions recurrent ...]

Each process has another PYTHONHASHSEED, trains with the same seed on the same data, converts and
evaluates. Ends with status 1 if a network's file or report differs from process to process.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys

import numpy as np


def _tiny(keras):
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    return keras.Sequential([keras.Input((6, 6, 1), name="image"), *layers, keras.layers.Dense(3)])


def _convolutions(keras):
    inputs = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = keras.layers.BatchNormalization()(keras.layers.DepthwiseConv2D(3, padding="same")(x))
    x = keras.layers.Concatenate()([keras.layers.Add()([x, y]), x])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def _two_outputs(keras):
    inputs = {name: keras.Input((6,), name=name) for name in ("left", "right")}
    x = keras.layers.Concatenate()(list(inputs.values()))
    x = keras.layers.Dense(8, activation="relu")(x)
    outputs = {name: keras.layers.Dense(3, name=name)(x) for name in ("first", "second")}
    return keras.Model(inputs, outputs)


def _recurrent(keras):
    layers = [keras.layers.GRU(4, unroll=True), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((5, 3), name="steps"), *layers])


NETWORKS = {"tiny": _tiny, "convolutions": _convolutions}
NETWORKS |= {"two_outputs": _two_outputs, "recurrent": _recurrent}
TRAINED = ("tiny", "convolutions")


def road(name):
    """Go the whole road; return what must be the same in every process."""
    import keras

    import keras_compress as kc

    keras.utils.set_random_seed(0)
    model = NETWORKS[name](keras)
    rng = np.random.default_rng(0)
    x = {t.name: rng.random((128, *t.shape[1:]), np.float32) for t in model.inputs}
    x = x if len(x) > 1 else next(iter(x.values()))
    if name in TRAINED:
        model = kc.compress(model, pruning=kc.Pruning(), quantization=kc.Quantization())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
        model.fit(x, np.arange(128) % 3, epochs=1, verbose=0, callbacks=callbacks)
    converted = kc.convert(model, representative_dataset=x)
    found = kc.evaluate(converted, x, baseline=model, latency_runs=0)
    report = json.dumps(kc.report(found, model=converted, targets=["cortex_m4"]).to_json())
    digests = (hashlib.sha256(c).hexdigest() for c in (converted.content, report.encode()))
    return dict(zip(("file", "report"), digests, strict=True))


def in_process(names, hash_seed):
    """Go the road with some networks in a process of its own; return digests by network."""
    program = "import json, sys, determinism as d; "
    program += "print(json.dumps({name: d.road(name) for name in sys.argv[1:]}))"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    folder = os.path.dirname(os.path.abspath(__file__))
    environment["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *names],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    arguments = parser.parse_args()
    runs = []
    for seed in range(1, arguments.processes + 1):
        runs.append(in_process(arguments.networks, seed))
        print(seed, runs[-1], flush=True)
    differ = False
    for name in arguments.networks:
        for what in ("file", "report"):
            kinds = len({run[name][what] for run in runs})
            differ |= kinds > 1
            found = f"{kinds} kinds in {len(runs)} processes" if kinds > 1 else "identical"
            print(f"{name}, {what}: {found}")
    sys.exit(differ)


if __name__ == "__main__":
    main()
