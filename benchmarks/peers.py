"""Accuracy at equal budget: tensorflow-model-optimization and ai-edge-quantizer beside us.

    python benchmarks/peers.py --network resnet8 --epochs 6 --seeds 0 1 2

Every way starts from the same trained float baseline. What trains, trains on the same batches in
the same order, for as many epochs, with the same optimizer and learning rates; tfmot in Keras 2
and in processes of its own. What does not train sees the same calibration images, others for each
seed. All figures are those of the int8 (or int4) `.tflite` in LiteRT over the test split.

Finished trainings are kept until the section of RESULTS.md is written: a run that was
interrupted goes on. `--section ""` prints only.
"""

import argparse
import dataclasses
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import results
from cifar10_data import augmented, load, load_uint8, source, to_float
from conversion_engines import fixed_batch
from record import Record
from training import BASELINES, baseline, one_cycle, versions

import keras_compress as kc

CALIBRATION_IMAGES = 500
TFMOT, QUANTIZER = "tfmot", "ai-edge-quantizer"
PACKAGES = ("tensorflow-model-optimization", "tf_keras", "ai-edge-quantizer", "ai-edge-litert")


@dataclasses.dataclass
class Job:
    """What both sides of one comparison get.

    Args:
        model: The float baseline.
        images: Calibration images, float32, [n, 32, 32, 3].
        seed: Of the order and augmentation of images, and of the choice of calibration images.
        options: Those of the command line.
    """

    model: keras.Model
    images: np.ndarray
    seed: int
    options: argparse.Namespace

    def steps(self, share):
        """Return the step at which a share of the fine-tuning is done."""
        return int(share * self.options.epochs * (self.options.images // 128))


def fine_tune(model, job, callbacks):
    """Train a compressed model as `tfmot_training.fine_tune` does, and convert it."""
    keras.utils.set_random_seed(job.seed)
    data = augmented(*load_uint8("train", job.options.images), seed=job.seed)
    model.compile(
        one_cycle(job.options.learning_rate, job.options.epochs * len(data)),
        "sparse_categorical_crossentropy",
        jit_compile=False,  # XLA takes longer on two processor cores
    )
    epochs = job.options.epochs
    model.fit(data, epochs=epochs, shuffle=False, callbacks=callbacks, verbose=2)
    return kc.convert(model, representative_dataset=job.images).content


def zeros(sparsity):
    """Return the way to unstructured zeros over the first two thirds of the steps."""

    def way(job):
        model = kc.compress(job.model, pruning=kc.Pruning())
        schedule = kc.PolynomialDecay(
            final_sparsity=sparsity, begin_step=0, end_step=job.steps(2 / 3)
        )
        return fine_tune(model, job, [kc.PruningCallback(schedule)])

    return way


def quantization_aware(job):
    """Simulate int8, ranges fixed in the last quarter."""
    model = kc.compress(job.model, quantization=kc.Quantization())
    return fine_tune(model, job, [kc.QuantizationCallback(freeze_step=job.steps(0.75))])


def clusters(job):
    """Train 16 values for each kernel, as tfmot does; not for each channel."""
    model = kc.compress(job.model, clustering=kc.Clustering(clusters=16, per_channel=False))
    return fine_tune(model, job, [kc.ClusteringCallback(0, job.steps(0.5))])


def zeros_and_quantization(job):
    """Prune to a half in the first half of the steps; simulate int8 in the rest."""
    model = kc.compress(job.model, pruning=kc.Pruning(), quantization=kc.Quantization())
    half = job.steps(0.5)
    schedule = kc.PolynomialDecay(final_sparsity=0.5, begin_step=0, end_step=half)
    quantization = kc.QuantizationCallback(begin_step=half, freeze_step=job.steps(0.75))
    return fine_tune(model, job, [kc.PruningCallback(schedule), quantization])


def by_tfmot(method):
    """Return the way that tfmot goes, in a process of its own."""

    def way(job):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            np.save(folder / "calibration.npy", job.images)
            _save_weights(job.model, folder / "weights.npz")
            wanted = {
                "method": method,
                "network": job.options.network,
                "epochs": job.options.epochs,
                "images": job.options.images,
                "learning_rate": job.options.learning_rate,
                "seed": job.seed,
                "weights": str(folder / "weights.npz"),
                "calibration": str(folder / "calibration.npy"),
                "file": str(folder / "model.tflite"),
            }
            script = Path(__file__).with_name("tfmot_training.py")
            subprocess.run([sys.executable, script, json.dumps(wanted)], check=True)
            return (folder / "model.tflite").read_bytes()

    return way


def _save_weights(model, path):
    named = {
        f"{layer.name}/{number}": weight
        for layer in model.layers
        for number, weight in enumerate(layer.get_weights())
    }
    np.savez(path, **named)


def by_quantizer(bits):
    """Return ai-edge-quantizer's static way, weights of some bits with a scale a channel."""

    def way(job):
        import tensorflow as tf
        from ai_edge_quantizer import quantizer, recipe

        content = tf.lite.TFLiteConverter.from_keras_model(fixed_batch(job.model)).convert()
        rules = recipe.static_wi8_ai8()
        for rule in rules:
            rule["op_config"]["weight_tensor_config"]["num_bits"] = bits
        own = quantizer.Quantizer(bytearray(content), rules)
        interpreter = tf.lite.Interpreter(model_content=content)
        ((signature, names),) = interpreter.get_signature_list().items()
        (name,) = names["inputs"]
        found = own.calibrate({signature: [{name: image[None]} for image in job.images]})
        return bytes(own.quantize(found).quantized_model)

    return way


def int8(job):
    """Convert at once."""
    return kc.convert(job.model, representative_dataset=job.images).content


def int4(job):
    """Calibrate, round with AdaRound, convert."""
    quantization = kc.Quantization(profile="android_cpu", weight_bits=4)
    model = kc.calibrate(kc.compress(job.model, quantization=quantization), job.images)
    kc.round_weights(model, job.images, "adaround", samples=len(job.images), seed=job.seed)
    return kc.convert(model, "android_cpu").content


# Name of the comparison -> (peer, its way, ours).
COMPARISONS = {
    "50 % zeros": (TFMOT, by_tfmot("50 % zeros"), zeros(0.5)),
    "75 % zeros": (TFMOT, by_tfmot("75 % zeros"), zeros(0.75)),
    "90 % zeros": (TFMOT, by_tfmot("90 % zeros"), zeros(0.9)),
    "quantization-aware": (TFMOT, by_tfmot("quantization-aware"), quantization_aware),
    "16 values a kernel": (TFMOT, by_tfmot("16 values a kernel"), clusters),
    "50 % zeros, quantization-aware": (
        TFMOT,
        by_tfmot("50 % zeros, quantization-aware"),
        zeros_and_quantization,
    ),
    "static int8, not trained": (QUANTIZER, by_quantizer(8), int8),
    "static int4 weights, not trained": (QUANTIZER, by_quantizer(4), int4),
}


def measure(content, x, y):
    """Return what a file is worth."""
    result = kc.evaluate(content, x, y, latency_runs=0).model
    return {
        "accuracy": 100 * result.accuracy,
        "zeros": 100 * result.sparsity,
        "gzip": len(gzip.compress(content, mtime=0)),
    }


def calibration_images(seed):
    """Return images that differ from seed to seed."""
    images, _ = load_uint8("train")
    chosen = np.random.default_rng(seed).choice(len(images), CALIBRATION_IMAGES, replace=False)
    return to_float(images[chosen])


def run(options, record, model, test):
    """Measure whatever the record lacks; seed by seed, so that an unfinished run is even."""
    done = {(row["comparison"], row["seed"], row["side"]) for row in record.rows}
    for seed in options.seeds:
        job = Job(model, calibration_images(seed), seed, options)
        for name in options.comparisons:
            peer, *ways = COMPARISONS[name]
            for side, way in zip((peer, "ours"), ways, strict=True):
                if (name, seed, side) not in done:
                    found = measure(way(job), *test)
                    record.add({"comparison": name, "seed": seed, "side": side, **found})
                    print(record.rows[-1], flush=True)


def spread(values):
    """Say the mean and the sample deviation."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{np.mean(values):.2f} ± {deviation:.2f}"


def row(name, found):
    """Return a row of the table from what was measured of one comparison."""
    peer = COMPARISONS[name][0]
    sides = {
        side: sorted((r for r in found if r["side"] == side), key=lambda r: r["seed"])
        for side in (peer, "ours")
    }
    theirs, ours = ([r["accuracy"] for r in rows] for rows in sides.values())
    cells = {
        "compression": name,
        "peer": peer,
        "peer's accuracy %": spread(theirs),
        "ours %": spread(ours),
        "ours - peer's": spread(np.subtract(ours, theirs)),
    }
    for key, title in (("zeros", "zeros %"), ("gzip", "gzip bytes")):
        means = (np.mean([r[key] for r in rows]) for rows in sides.values())
        cells[f"{title}, peer / ours"] = " / ".join(f"{mean:,.0f}" for mean in means)
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", choices=sorted(BASELINES), default="resnet8")
    parser.add_argument("--comparisons", nargs="+", choices=list(COMPARISONS))
    parser.add_argument("--epochs", type=int, default=6, help="of fine-tuning")
    parser.add_argument("--images", type=int, default=20_000, help="for fine-tuning")
    parser.add_argument("--learning_rate", type=float, default=0.02, help="at its peak")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--test_images", type=int, default=5000)
    parser.add_argument("--section", default="Accuracy beside the peers", help="in RESULTS.md")
    options = parser.parse_args()
    options.comparisons = options.comparisons or list(COMPARISONS)
    model, trained = baseline(options.network)
    packages = {**versions(), **results.package_versions(*PACKAGES)}
    # Not the seeds and comparisons: with more of them a run goes on with what there is.
    settings = {
        key: value
        for key, value in vars(options).items()
        if key not in ("seeds", "comparisons", "section")
    }
    record = Record("peers", {**settings, **packages, "baseline": trained["date"]})
    run(options, record, model, load("test", options.test_images))
    rows = [
        row(name, [r for r in record.rows if r["comparison"] == name])
        for name in options.comparisons
    ]
    print(results.table(rows))
    if options.section:
        facts = results.provenance(
            packages,
            data=f"{source()}, {options.test_images} test images",
            baseline=f"{options.network}, {trained['epochs']} epochs, seed {trained['seed']}, "
            f"{100 * trained['accuracy']:.2f} %",
            spread="mean and sample deviation over the seeds; differences are paired by seed",
        )
        results.write_section(options.section, facts, results.table(rows))
        record.end()


if __name__ == "__main__":
    main()
