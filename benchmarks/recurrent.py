"""LSTMs as one operator: bytes, arena and accuracy of the int8 file against Keras.

    python benchmarks/recurrent.py [--networks short long ...] [--seed 0]

The data are made from the seed: four kinds of movement in three noisy channels. Prints a table of
Markdown: docs/recurrent.md shows it.
"""

import argparse
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
from keras import layers

import keras_compress as kc
from keras_compress.exporting.micro.arena_size import arena_size
from keras_compress.tflite import flatbuffer

CLASSES, CHANNELS = 4, 3
TRAINING, TEST = 1500, 1000


def movements(count, steps, random):
    """Return series (count, steps, 3) and their kinds: a frequency and a phase between channels."""
    kinds = random.integers(0, CLASSES, count)
    time = np.arange(steps) / 28
    turns = np.where(kinds % 2, 2.0, 3.0)[:, None] * time + random.uniform(size=(count, 1))
    shift = np.where(kinds < 2, 0.25, -0.25)[:, None]
    channels = [np.sin(2 * np.pi * (turns + i * shift)) for i in range(CHANNELS)]
    noisy = np.stack(channels, -1) + random.normal(scale=0.5, size=(count, steps, CHANNELS))
    return noisy.astype("float32"), kinds


def _chain(steps, *parts):
    head = layers.Dense(CLASSES, activation="softmax")
    return keras.Sequential([keras.Input((steps, CHANNELS)), *parts, head])


def _heads(steps):
    inputs = keras.Input((steps, CHANNELS))
    local = layers.GlobalMaxPooling1D()(layers.Conv1D(8, 5, activation="relu")(inputs))
    both = layers.Concatenate()([local, layers.LSTM(16)(inputs)])
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(both))


NETWORKS = {
    "short": lambda: _chain(28, layers.LSTM(16)),
    "short, unrolled": lambda: _chain(28, layers.LSTM(16, unroll=True)),
    "long": lambda: _chain(128, layers.LSTM(16)),
    "stacked": lambda: _chain(28, layers.LSTM(16, return_sequences=True), layers.LSTM(16)),
    "bidirectional": lambda: _chain(28, layers.Bidirectional(layers.LSTM(16))),
    "heads": lambda: _heads(28),
}


def measure(name, seed):
    """Train a network, convert it, and return the cells of its row."""
    keras.utils.set_random_seed(seed)
    model = NETWORKS[name]()
    random = np.random.default_rng(seed)
    steps = model.input_shape[1]
    (x, y), (x_test, y_test) = (movements(n, steps, random) for n in (TRAINING, TEST))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=12, batch_size=50, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = kc.convert(model, "cortex_m4", x[:200], rewrites="unrolled" not in name)
    in_float = float((model.predict(x_test, verbose=0).argmax(1) == y_test).mean())
    accuracies = [
        kc.evaluate(converted, x_test, y_test, runtime=runtime, latency_runs=0, baseline=model)
        for runtime in ("litert", "tflite_micro")
    ]
    file = flatbuffer.read(converted)
    arena = arena_size(file)
    figures = [result.to_json() for result in accuracies]
    return (
        name,
        len(converted.content),
        arena.head_bytes + arena.tail_bytes,
        len(file.operators),
        f"{in_float:.1%}",
        *(f"{figure['model']['accuracy']:.1%}" for figure in figures),
        *(f"{figure['label_agreement']:.1%}" for figure in figures),
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| network | bytes | arena | operators | float | LiteRT | TFLite Micro "
        "| labels as float, LiteRT | TFLite Micro |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in arguments.networks:
        cells = measure(name, arguments.seed)
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
