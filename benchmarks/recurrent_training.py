"""An LSTM pruned and quantized in training, against the float network it began as.

    python benchmarks/recurrent_training.py [--seeds 0 1 2] [--section ""]

The data are made from the seed: words of a little language. A word is three sounds, a sound two
formants; speakers differ in pitch of their formants, tempo, loudness and noise. Samples are the
energies of 12 bands in 24 frames, 10 words. The float network trains for 12 epochs; its copy trains
8 epochs more, to 70 % zeros and then under quantization. Accuracy is that of the int8 file.
Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import results
from keras import layers
from training import versions

import keras_compress as kc
from keras_compress.evaluation import runtimes
from keras_compress.tflite import flatbuffer

WORDS, FRAMES, BANDS = 10, 24, 12
TRAINING, TEST, BATCH = 3000, 2000, 64
SPARSITY = 0.7
RUNTIMES = ("litert", "tflite_micro")
OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"


def spoken(count, random):
    """Return energies (count, frames, bands) of spoken words, and which word each is.

    Args:
        count: Number of samples.
        random: A `numpy.random.Generator`.
    """
    # The words are the same for all seeds: (word, sound, formant), in bands.
    vocabulary = np.random.default_rng(10).uniform(1, BANDS - 2, (WORDS, 3, 2))
    words = random.integers(0, WORDS, count)
    speaker = random.normal(scale=0.6, size=(count, 1, 1))
    sounds = vocabulary[words] + speaker + random.normal(scale=0.4, size=(count, 3, 2))
    ends = np.sort(random.uniform(0.15, 0.95, (count, 2)), axis=1) * FRAMES
    position = np.stack(
        [
            np.interp(np.arange(FRAMES), [a / 2, (a + b) / 2, (b + FRAMES) / 2], s)
            for (a, b), pair in zip(ends, sounds, strict=True)
            for s in pair.T
        ]
    )
    formants = position.reshape(count, 2, FRAMES).transpose(0, 2, 1)
    distance = np.arange(BANDS) - formants[..., None]
    energy = np.exp(-(distance**2) / 2).sum(2) * random.uniform(0.5, 1.5, (count, 1, 1))
    noisy = energy + random.normal(scale=0.25, size=energy.shape)
    return noisy.astype("float32"), words


def network():
    """Return an untrained network of one LSTM."""
    head = layers.Dense(WORDS, activation="softmax")
    return keras.Sequential([keras.Input((FRAMES, BANDS)), layers.LSTM(24, name="memory"), head])


def train(model, x, y, epochs, rate, callbacks=()):
    """Train a model in place."""
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(x, y, BATCH, epochs, verbose=0, callbacks=list(callbacks))


def compressed(model, x, y):
    """Return a copy of a model after its training with zeros and quantization."""
    model = kc.compress(model, pruning=kc.Pruning(), quantization="cortex_m4")
    schedule = kc.PolynomialDecay(final_sparsity=SPARSITY, end_step=0.4, frequency=0.04)
    callbacks = [
        kc.PruningCallback(schedule),
        kc.QuantizationCallback(begin_step=0.4, freeze_step=0.8),
    ]
    train(model, x, y, 8, 3e-3, callbacks)
    return model


def zeros(converted):
    """Return the smallest share of zeros among the weights of an LSTM's gates in a file."""
    operators = [op for op in flatbuffer.read(converted).operators if op.name == OPERATOR]
    return min((tensor.data == 0).mean() for op in operators for tensor in op.inputs[1:9])


def accuracy(converted, x, y, runtime):
    """Return the accuracy of a file in percent."""
    result = kc.evaluate(converted, x, y, runtime=runtime, latency_runs=0).to_json()
    return round(100 * result["model"]["accuracy"], 2)


def agreement(model, converted, x, runtime):
    """Return how many labels, and how many output integers, model and file share in percent."""
    file = flatbuffer.read(converted)
    (source,), (target,) = file.inputs, file.outputs
    with runtimes.open_file(converted.content, runtime) as opened:
        (answers,) = opened.run([_integers(x, source)])
    expected = model.predict(x, verbose=0)
    labels = np.mean(answers.argmax(-1) == expected.argmax(-1))
    identical = np.mean(answers == _integers(expected, target))
    return f"{100 * labels:.2f}, {100 * identical:.2f}"


def _integers(values, tensor):
    scaled = np.round(values / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(scaled, -128, 127).astype(np.int8)


def measure(seed):
    """Train one pair of networks and return their rows."""
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = (spoken(count, random) for count in (TRAINING, TEST))
    model = network()
    train(model, x, y, 12, 1e-2)
    in_float = 100 * float((model.predict(x_test, verbose=0).argmax(1) == y_test).mean())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The operator of LSTM")
        after = kc.convert(model, "cortex_m4", x[:200])
        trained = compressed(model, x, y)
        aware = kc.convert(trained, "cortex_m4")
    rows = {
        "int8 after training": (model, after),
        f"{SPARSITY * 100:.0f} % zeros, int8 aware": (trained, aware),
    }
    for name, (source, file) in rows.items():
        in_file = {r: accuracy(file, x_test, y_test, r) for r in RUNTIMES}
        yield {
            "seed": seed,
            "network": name,
            "float %": round(in_float, 2),
            "LiteRT %": in_file["litert"],
            "TFLite Micro %": in_file["tflite_micro"],
            "points from float": round(in_file["tflite_micro"] - in_float, 2),
            "fewest zeros of a gate %": round(100 * float(zeros(file)), 1),
            "bytes": len(file.content),
            **{
                f"labels, integers as Keras %, {runtime}": agreement(source, file, x_test, runtime)
                for runtime in RUNTIMES
            },
        }


def main():
    """Measure, print and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--section", default="Recurrent: an LSTM trained with zeros and int8")
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        for row in measure(seed):
            rows.append(row)
            print(row, flush=True)
    if options.section:
        facts = results.provenance(versions(), data=f"{TRAINING} and {TEST} samples from the seed")
        results.write_section(options.section, facts, results.table(rows))


if __name__ == "__main__":
    main()
