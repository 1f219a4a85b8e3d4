"""Count the files that a reader opens to follow one job: python benchmarks/files_opened.py.

Counts the files of which a function runs (`sys.setprofile`); what runs while a module is
imported, and class bodies, do not count. Ends with status 1 if a job is beyond its limit.
"""

import os
import sys
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import results
from keras import layers

import keras_compress as kc

PACKAGES = ("keras_compress", "converters", "edge_profiles")
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def files_of(job):
    """Return the files, relative to the checkout, whose functions run while a job does."""
    seen = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_flags & 0x2:  # CO_NEWLOCALS: a function
            seen.add((frame.f_code.co_filename, frame.f_code.co_name))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        job()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    real = {os.path.relpath(os.path.realpath(name), ROOT) for name, _ in seen}
    return sorted(name for name in real if name.split(os.sep)[0] in PACKAGES)


def network():
    """A convolution with BatchNormalization and a head."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, use_bias=False, name="second")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="second_norm")(x))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def training_step():
    """Return the job of one traced step of a pruned and quantized network."""
    model = kc.compress(network(), pruning=kc.Pruning(), quantization=kc.Quantization())
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True), jit_compile=False)
    x, y = np.ones((4, 8, 8, 3), "float32"), np.zeros(4, "int32")
    return lambda: model.train_on_batch(x, y)


def conversion():
    """Return the job of an int8 file, emitted and proved; its ranges were learned before."""
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")
    model = kc.calibrate(kc.compress(network(), quantization="cortex_m4"), x)
    convert = kc.convert
    return lambda: convert(model, "cortex_m4")


def conversion_with_samples():
    """Return the same job with samples given as well: data are read and checked too."""
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")
    model = kc.calibrate(kc.compress(network(), quantization="cortex_m4"), x)
    convert = kc.convert
    return lambda: convert(model, "cortex_m4", x)


def shrink():
    """Return the job of half of the channels, removed."""
    model, shrink_model = network(), kc.shrink
    return lambda: shrink_model(model, channels=0.5)


# The last is measured and has no limit of its own.
LIMITS = {training_step: 12, conversion: 40, shrink: 23, conversion_with_samples: None}


def main():
    rows = []
    for make, limit in LIMITS.items():
        job = make()
        files = files_of(job)
        rows.append({"job": make.__name__, "files": len(files), "limit": limit or "none"})
        print(make.__name__, len(files), *files, sep="\n  ", flush=True)
    results.write_section(
        "Files to open",
        results.provenance(results.package_versions("tensorflow", "keras")),
        results.table(rows),
    )
    print("\n" + results.table(rows))
    sys.exit(
        any(
            limit and row["files"] > limit for row, limit in zip(rows, LIMITS.values(), strict=True)
        )
    )


if __name__ == "__main__":
    main()
