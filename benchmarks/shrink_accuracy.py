"""What removing channels costs in accuracy on CIFAR-10, at 2.1 times fewer MACs.

    python benchmarks/shrink_accuracy.py criteria    # all criteria at one small budget
    python benchmarks/shrink_accuracy.py network     # against a dense network of as many epochs

`criteria` takes the trained ResNet8 of the baselines, removes channels by each criterion,
fine-tunes for TUNE epochs on TUNE_IMAGES images, and gives the accuracy on the test split; the
best two are tuned from two more seeds. `network` trains a ResNet-20 for START epochs on IMAGES
images, removes channels by one criterion, fine-tunes for the epochs that remain of TOTAL, and
compares with a dense network trained for TOTAL epochs at once.
"""

import argparse
import json
import time

import keras
import numpy as np
from cifar10_data import augmented, load, load_uint8
from results import provenance, table, write_section
from training import baseline, one_cycle, versions

import keras_compress as kc
from keras_compress import plugins
from keras_compress.pruning.structural.dependency_graph import DependencyGraph
from keras_compress.pruning.structural.shrinking import STRUCTURAL_CRITERIA

IMAGES, START, TOTAL = 25_000, 6, 16
TUNE_IMAGES, TUNE = 10_000, 2
SCORED = 256
MACS = 1 / 2.1
LOSS = "sparse_categorical_crossentropy"


def shrunk(model, criterion):
    x, y = load("train", SCORED)
    return kc.shrink(model, macs=MACS, criterion=criterion, data=(x, y), loss=LOSS)


def tune(model, images, epochs, seed, peak):
    keras.utils.set_random_seed(seed)
    data = augmented(*load_uint8("train", images), 128, seed)
    model.compile(one_cycle(peak, epochs * len(data), 1e-3), LOSS, metrics=["accuracy"])
    model.fit(data, epochs=epochs, verbose=0)
    return model


def accuracy(model, x, y):
    model.compile("sgd", LOSS, metrics=["accuracy"])
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
    model, _ = baseline("resnet8")
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
        f"The trained ResNet8 (dense accuracy {dense}) at 2.1 times fewer MACs, tuned for {TUNE} "
        f"epochs on {TUNE_IMAGES:,} images; 5,000 test images. The best two from three seeds.",
        [{**dict.fromkeys(("mean", "std"), "-"), **row} for row in rows],
    )


def network(criterion, images):
    x, y = load("test")
    model, record = baseline("resnet20", epochs=START, images=images)
    smaller = shrunk(model, criterion)
    result = {
        "criterion": criterion,
        "macs_fewer": round(macs(model) / macs(smaller), 3),
        "parameters_left": round(smaller.count_params() / model.count_params(), 3),
        "accuracy_at_start": record["accuracy"],
        "accuracy_before_tuning": accuracy(smaller, x, y),
    }
    print(json.dumps(result), flush=True)
    tune(smaller, images, TOTAL - START, seed=0, peak=0.1)
    result["accuracy"] = accuracy(smaller, x, y)
    print(json.dumps(result), flush=True)
    _, dense = baseline("resnet20", epochs=TOTAL, images=images)
    result["dense_accuracy"] = dense["accuracy"]
    result["difference"] = round(dense["accuracy"] - result["accuracy"], 4)
    print(json.dumps(result), flush=True)
    record(
        "Removing channels: ResNet-20",
        f"{images:,} training images, {TOTAL} epochs in all ({START} before channels were "
        "removed), against a dense ResNet-20 of as many epochs; 5,000 test images.",
        [result],
    )


def record(title, text, rows):
    write_section(title, text, table(rows), provenance(versions()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["criteria", "network"])
    parser.add_argument("--criterion", default="taylor", help="of `network`")
    parser.add_argument("--images", type=int, default=IMAGES, help="of `network`")
    options = parser.parse_args()
    if options.part == "criteria":
        criteria()
    else:
        network(options.criterion, options.images)


if __name__ == "__main__":
    main()
