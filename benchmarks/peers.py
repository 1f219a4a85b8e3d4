"""Accuracy at equal budget: tensorflow-model-optimization and ai-edge-quantizer beside us.

    python benchmarks/peers.py --network resnet8 --epochs 4 --images 8000 --seeds 0 1 2

Every way starts from the same trained float baseline. What trains, trains on the same batches (in
an order that each Keras draws), for as many epochs, with the same optimizer and learning rates;
tfmot in Keras 2 and in processes of its own. What does not train sees the same calibration
images, others for each seed. All figures are those of the int8 (or int4) `.tflite` in LiteRT over
the test split. "Measured again" is our file after `kc.reestimate_batch_norm` on training images,
augmented as in training, which the peers have nothing like.

Finished trainings are kept until the section of RESULTS.md is written: a run that was
interrupted goes on. `--section ""` prints only. One process makes poor use of two cores: half of
the `--comparisons` in each of two, held to one core each (`taskset`), take three quarters of the
time; both with `--section ""`, and one run of all for the section when they are done.
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
import layer_weights
import numpy as np
import results
from cifar10_data import augmented, load, load_uint8, source, to_float
from cifar10_main_road import fine_tune, int8_aware, sparse_int8_aware, steps_of
from conversion_engines import by_quantizer
from record import Record
from training import BASELINES, baseline, versions

import keras_compress as kc

CALIBRATION_IMAGES = 500
STATISTICS_IMAGES = 2048
FREQUENCY = 10  # Steps from one update of masks to the next, on both sides.
TFMOT, QUANTIZER = "tfmot", "ai-edge-quantizer"
OURS, AGAIN = "ours", "ours, measured again"
PACKAGES = ("tensorflow-model-optimization", "tf_keras", "ai-edge-quantizer", "ai-edge-litert")


@dataclasses.dataclass
class Job:
    """What both sides of one comparison get.

    Args:
        model: The float baseline.
        images: Calibration images, float32, [n, 32, 32, 3].
        options: Those of the command line, and `seed`: of the order and augmentation of images.
    """

    model: keras.Model
    images: np.ndarray
    options: argparse.Namespace


def trained(model, job, callbacks):
    """Fine-tune a compressed model and convert it, before and after its statistics are mended."""
    fine_tune(model, job.options, callbacks)
    content = int8_file(model, job)
    seen = training_images(job.options)
    kc.reestimate_batch_norm(model, seen, samples=len(seen))
    # Ours last: an interrupted comparison is whole when it is there.
    return {AGAIN: int8_file(model, job), OURS: content}


def int8_file(model, job):
    """Convert a model, with the job's images to calibrate what was not trained."""
    return kc.convert(model, representative_dataset=job.images).content


def zeros(sparsity):
    """Return the way to unstructured zeros over the first two thirds of the steps."""

    def way(job):
        model = kc.compress(job.model, pruning=kc.Pruning())
        updates = steps_of(job.options, 2 / 3) // FREQUENCY
        schedule = kc.PolynomialDecay(
            final_sparsity=sparsity, end_step=updates * FREQUENCY, frequency=FREQUENCY
        )
        return trained(model, job, [kc.PruningCallback(schedule)])

    return way


def clusters(job):
    """Train 16 values for each kernel, as tfmot does; not for each channel."""
    model = kc.compress(job.model, clustering=kc.Clustering(clusters=16, per_channel=False))
    return trained(model, job, [kc.ClusteringCallback(0, steps_of(job.options, 0.5))])


def by_tfmot(method):
    """Return the way that tfmot goes, in a process of its own."""

    def way(job):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            np.save(folder / "calibration.npy", job.images)
            layer_weights.save(job.model, folder / "weights.npz")
            wanted = {
                "method": method,
                "network": job.options.network,
                "epochs": job.options.epochs,
                "images": job.options.images,
                "learning_rate": job.options.learning_rate,
                "seed": job.options.seed,
                "frequency": FREQUENCY,
                "weights": str(folder / "weights.npz"),
                "calibration": str(folder / "calibration.npy"),
                "file": str(folder / "model.tflite"),
            }
            script = Path(__file__).with_name("tfmot_training.py")
            subprocess.run([sys.executable, script, json.dumps(wanted)], check=True)
            return {TFMOT: (folder / "model.tflite").read_bytes()}

    return way


def int4(job):
    """Calibrate, round with AdaRound, convert."""
    quantization = kc.Quantization(profile="android_cpu", weight_bits=4)
    model = kc.calibrate(kc.compress(job.model, quantization=quantization), job.images)
    kc.round_weights(model, job.images, "adaround", samples=len(job.images), seed=job.options.seed)
    return {OURS: kc.convert(model, "android_cpu").content}


def int8(job):
    """Convert the float model."""
    return {OURS: int8_file(job.model, job)}


def by_main_road(road):
    """Return the way that trains as `cifar10_main_road.py` does."""
    return lambda job: {OURS: int8_file(road(job.model, job.options), job)}


def static(bits):
    """Return the way of ai-edge-quantizer to weights of some bits."""
    return lambda job: {QUANTIZER: by_quantizer(job.model, job.images, bits)}


STATISTICS = (
    "Of the moving statistics of a BatchNormalization a share of momentum^n is still that of the "
    "model before, n steps after the last mask. What that costs ours is the difference to the "
    "column measured again: `kc.reestimate_batch_norm`, a pass over "
    f"{STATISTICS_IMAGES:,} images without labels. The peer's models were not measured again."
)

# Name of the comparison -> (peer, its way, ours); a way returns files by side. tfmot is asked by
# name.
COMPARISONS = {
    "50 % zeros": (TFMOT, by_tfmot("50 % zeros"), zeros(0.5)),
    "75 % zeros": (TFMOT, by_tfmot("75 % zeros"), zeros(0.75)),
    "90 % zeros": (TFMOT, by_tfmot("90 % zeros"), zeros(0.9)),
    "quantization-aware": (TFMOT, by_tfmot("quantization-aware"), by_main_road(int8_aware)),
    "16 values a kernel": (TFMOT, by_tfmot("16 values a kernel"), clusters),
    "50 % zeros, quantization-aware": (
        TFMOT,
        by_tfmot("50 % zeros, quantization-aware"),
        by_main_road(sparse_int8_aware),
    ),
    "static int8, not trained": (QUANTIZER, static(8), int8),
    "static int4 weights, not trained": (QUANTIZER, static(4), int4),
}


def measure(content, x, y):
    """Return what a file is worth."""
    result = kc.evaluate(content, x, y, latency_runs=0).model
    return {
        "accuracy": 100 * result.accuracy,
        "zeros": 100 * result.sparsity,
        "gzip": len(gzip.compress(content, mtime=0)),
    }


def calibration_images(options):
    """Return some of the training images, others for each seed."""
    images, _ = load_uint8("train", options.images)
    chosen = np.random.default_rng(options.seed).choice(
        len(images), CALIBRATION_IMAGES, replace=False
    )
    return to_float(images[chosen])


def training_images(options):
    """Return images as training sees them: shifted and mirrored."""
    batches = augmented(*load_uint8("train", STATISTICS_IMAGES), seed=options.seed)
    return np.concatenate([batches[k][0] for k in range(len(batches))])


def run(options, record, model, test):
    """Measure whatever the record lacks; seed by seed, so that an unfinished run is even."""
    done = {(row["comparison"], row["seed"], row["side"]) for row in record.rows}
    for seed in options.seeds:
        seeded = argparse.Namespace(**vars(options), seed=seed)
        job = Job(model, calibration_images(seeded), seeded)
        for name in options.comparisons:
            peer, *ways = COMPARISONS[name]
            for side, way in zip((peer, OURS), ways, strict=True):
                if (name, seed, side) not in done:
                    for made, content in way(job).items():
                        found = {"side": made, **measure(content, *test)}
                        record.add({"comparison": name, "seed": seed, **found})
                        print(name, seed, found, flush=True)


def row(name, found):
    """Return a row of the table from what was measured of one comparison."""
    peer = COMPARISONS[name][0]
    sides = {
        side: sorted((r for r in found if r["side"] == side), key=lambda r: r["seed"])
        for side in (peer, OURS, AGAIN)
    }
    theirs, ours, again = ([r["accuracy"] for r in rows] for rows in sides.values())
    cells = {
        "compression": name,
        "peer": peer,
        "peer's accuracy %": results.spread(theirs),
        "ours %": results.spread(ours),
        "ours - peer's": results.spread(np.subtract(ours, theirs)),
        "ours, measured again %": results.spread(again) if again else "",
    }
    for key, title in (("zeros", "zeros %"), ("gzip", "gzip bytes")):
        means = (np.mean([r[key] for r in sides[side]]) for side in (peer, OURS))
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
    model, notes = baseline(options.network)
    packages = {**versions(), **results.package_versions(*PACKAGES)}
    # Not the seeds and comparisons: with more of them a run goes on with what there is.
    settings = {
        key: value
        for key, value in vars(options).items()
        if key not in ("seeds", "comparisons", "section")
    }
    record = Record("peers", {**settings, **packages, "baseline": notes["date"]})
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
            baseline=f"{options.network}, {notes['epochs']} epochs, seed {notes['seed']}, "
            f"{100 * notes['accuracy']:.2f} %",
            spread="mean and sample deviation over the seeds; differences are paired by seed",
        )
        results.write_section(options.section, facts, results.table(rows), STATISTICS)
        record.end()


if __name__ == "__main__":
    main()
