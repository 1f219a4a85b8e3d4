"""What removing channels or blocks costs in accuracy on CIFAR-10, at 2.1 times fewer MACs.

    python benchmarks/shrink_accuracy.py criteria    # all criteria at one small budget
    python benchmarks/shrink_accuracy.py network     # against a dense network of as many epochs
    python benchmarks/shrink_accuracy.py network --granularity layers

`criteria` trains a ResNet8 as START says, removes channels by each criterion, fine-tunes for TUNE
epochs on TUNE_IMAGES images, and gives the accuracy on the test split; the best two are tuned
from two more seeds. `network` trains a ResNet-20 for EARLY epochs on IMAGES images, removes
channels or blocks by one criterion, trains on for the epochs that remain of EPOCHS (by the labels,
and by `kc.Distillation` from the dense network), and compares with the same network trained on
without any removal.
"""

import argparse
import json
import time

import keras
import numpy as np
from cifar10_data import augmented, load, load_uint8
from networks import NETWORKS
from results import provenance, table, write_section
from training import CACHE, baseline, one_cycle, versions

import keras_compress as kc
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.scoring import STRUCTURAL_CRITERIA
from keras_compress.support import plugins

IMAGES, EARLY, EPOCHS = 8_000, 8, 24
START = {"images": 10_000, "epochs": 10}
TUNE_IMAGES, TUNE = 5_000, 2
SCORED = 256
MACS = 1 / 2.1
LOSS = "sparse_categorical_crossentropy"


def shrunk(model, criterion, samples=SCORED, **options):
    data = load("train", samples)
    return kc.shrink(model, macs=MACS, criterion=criterion, data=data, loss=LOSS, **options)


def tune(model, images, epochs, seed, peak):
    keras.utils.set_random_seed(seed)
    data = augmented(*load_uint8("train", images), 128, seed)
    compiled(model, one_cycle(peak, epochs * len(data), 1e-3))
    model.fit(data, epochs=epochs, verbose=0)
    return model


def compiled(model, optimizer):
    """Compile without XLA, whose convolutions take a fifth more processor time on a CPU."""
    model.compile(optimizer, LOSS, metrics=["accuracy"], jit_compile=False)


def accuracy(model, x, y):
    compiled(model, "sgd")
    return round(float(model.evaluate(x, y, batch_size=250, verbose=0)[1]), 4)


def macs(model):
    return sum(DependencyGraph(model).macs().values())


def try_criterion(model, name, seed, x, y):
    begin = time.perf_counter()
    smaller = shrunk(model, name)
    seconds = time.perf_counter() - begin
    at_once = accuracy(smaller, x, y)
    tune(smaller, TUNE_IMAGES, TUNE, seed, peak=0.05)
    return {
        "criterion": name,
        "seed": seed,
        "macs_left": round(macs(smaller) / macs(model), 3),
        "accuracy_before_tuning": at_once,
        "accuracy": accuracy(smaller, x, y),
        "seconds_to_shrink": round(seconds, 1),
    }


def criteria():
    x, y = load("test")
    model, _ = baseline("resnet8", **START)
    dense, rows = accuracy(model, x, y), []
    names = ("l1_norm", "l2_norm", "random", *plugins.names(STRUCTURAL_CRITERIA))
    for name in names:
        rows.append(try_criterion(model, name, 0, x, y))
        print(json.dumps(rows[-1]), flush=True)
    best = sorted(rows, key=lambda row: row["accuracy"])[-2:]
    for row in best:
        found = [row["accuracy"]]
        found += [try_criterion(model, row["criterion"], s, x, y)["accuracy"] for s in (1, 2)]
        spread = {"mean": round(float(np.mean(found)), 4), "std": round(float(np.std(found)), 4)}
        print(json.dumps({"criterion": row["criterion"], "seeds": found, **spread}), flush=True)
        row.update(spread)
    record(
        "Removing channels: criteria",
        f"A ResNet8 trained for {START['epochs']} epochs on {START['images']:,} images (accuracy "
        f"{dense}) at 2.1 times fewer MACs, tuned for {TUNE} epochs on {TUNE_IMAGES:,} images; "
        f"scores from {SCORED} images; 5,000 test images. The best two from three seeds.",
        [{**dict.fromkeys(("mean", "std"), "-"), **row} for row in rows],
    )


def network(criterion, images, epochs, early, granularity, minimum):
    """Train a ResNet-20 whole to the end, and from `early` epochs on two smaller copies of it.

    All have the first epochs in common and see the same images at the same learning rates after
    that. One of the copies learns from the labels alone, the other from the whole network's
    answers too (`kc.Distillation`).
    """
    x, y = load("test")
    begun, whole = whole_network(images, epochs, early)
    dense = accuracy(whole, x, y)
    rows = []
    for distilled in (False, True):
        options = {"minimum": minimum} if granularity == "channels" else {}
        smaller = shrunk(begun, criterion, 1024, granularity=granularity, **options)
        row = {
            "criterion": criterion,
            "distilled": distilled,
            "macs_fewer": round(macs(begun) / macs(smaller), 3),
            "parameters_left": round(smaller.count_params() / begun.count_params(), 3),
            "accuracy_at_removal": accuracy(smaller, x, y),
        }
        go_on(smaller, images, early, epochs, epochs, teacher=whole if distilled else None)
        row["accuracy"] = accuracy(smaller, x, y)
        row["dense_accuracy"] = dense
        row["points_lost"] = round(100 * (dense - row["accuracy"]), 2)
        rows.append(row)
        print(json.dumps(row), flush=True)
    record(
        f"Removing {granularity}: ResNet-20",
        f"{images:,} training images, {epochs} epochs of one cycle of learning rates. After epoch "
        f"{early} {granularity} are removed, and the rest is trained on; the dense network is the "
        "same one trained on whole. One seed, 5,000 test images.",
        rows,
    )


def whole_network(images, epochs, early):
    """Return the network after `early` epochs, and at the end; both are kept for a next run."""
    files = [CACHE / f"resnet20-{images}-{epochs}-after-{end}.keras" for end in (early, epochs)]
    if not all(file.exists() for file in files):
        CACHE.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(0)
        model = NETWORKS["resnet20"]()
        begin = 0
        for end, file in zip((early, epochs), files, strict=True):
            go_on(model, images, begin, end, epochs)
            model.save(file)
            begin = end
    return [keras.models.load_model(file, compile=False) for file in files]


def go_on(model, images, begin, end, epochs, teacher=None):
    """Train from epoch `begin` to `end` of a cycle of `epochs`, maybe on a teacher's answers."""
    data = augmented(*load_uint8("train", images), 128, seed=0)
    optimizer = one_cycle(0.2, epochs * len(data), 1e-3)
    trained = model if teacher is None else kc.Distillation(model, teacher)
    compiled(trained, optimizer)
    for _ in range(begin):
        data.on_epoch_end()
    optimizer.iterations.assign(begin * len(data))
    trained.fit(data, initial_epoch=begin, epochs=end, verbose=2)


def record(title, text, rows):
    write_section(title, text, table(rows), provenance(versions()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["criteria", "network"])
    parser.add_argument("--criterion", default="taylor", help="of `network`")
    parser.add_argument("--images", type=int, default=IMAGES, help="of `network`")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of `network`")
    parser.add_argument("--early", type=int, default=EARLY, help="epochs before the removal")
    parser.add_argument("--granularity", choices=["channels", "layers"], default="channels")
    parser.add_argument(
        "--minimum", type=float, default=0.25, help="share of its channels that a layer keeps"
    )
    options = parser.parse_args()
    if options.part == "criteria":
        criteria()
    else:
        network(
            options.criterion,
            options.images,
            options.epochs,
            options.early,
            options.granularity,
            options.minimum,
        )


if __name__ == "__main__":
    main()
