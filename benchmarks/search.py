"""What kc.search finds on CIFAR-10 for a Cortex-M4, and whether its parts are worth it.

    python benchmarks/search.py search --network resnet8 --budget 1800 --images 50000
    python benchmarks/search.py uniform --network mobilenet_v1_025 --epochs 4
    python benchmarks/search.py distillation --network resnet8 --epochs 4
    python benchmarks/search.py workers --network resnet8 --epochs 1 --images 16000 --generation 8

`search` asks for at most one point of accuracy lost, half of the bytes of plain int8 and 0.6 of
its multiply-accumulates. One half of the test images is what the search chooses by, the other
half has the last word. `uniform` trains the recipe that the search found beside recipes of as
many bytes and the same share of the MACs, with the same share of zeros in every layer: with the
channels of the search, and with the same share of channels in every layer too. `distillation`
trains int8 with half of the channels with and without the teacher. `workers` times one search on
a Ray cluster of two workers and then of one.
"""

import argparse
import bisect
import dataclasses
import functools
import itertools
import json
import os
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from cifar10_data import augmented, load, load_uint8, source
from results import provenance, spread, table, write_section
from training import CACHE, baseline, one_cycle, versions

import keras_compress as kc
from keras_compress.searching.jobs import Context, FineTuning, Job
from keras_compress.searching.trial_run import run

PROFILE, BATCH = "cortex_m4", 128
SPACE = {"clusters": [0], "weight_quantizer": ["abs_max"]}
FOUND = Path(os.environ.get("KERAS_COMPRESS_SEARCH_FOUND", CACHE / "search"))


def images(count, seed=0):
    return augmented(*load_uint8("train", count), BATCH, seed)


def optimizer_of(options):
    return functools.partial(one_cycle, options.rate, weight_decay=1e-3)


def halves():
    x, y = load("test")
    middle = len(y) // 2
    return (x[:middle], y[:middle]), (x[middle:], y[middle:])


def accuracy(file, x, y):
    return kc.evaluate(file, x, y, latency_runs=0, progress=False).model.accuracy


def search(options):
    model, record = baseline(options.network)
    plain = kc.convert(model, PROFILE, load("train", 256)[0], progress=False)
    choosing, last = halves()
    result = kc.search(
        model,
        functools.partial(images, options.images),
        choosing,
        profile=PROFILE,
        constraints=kc.Constraints(max_accuracy_drop=0.01, flash_bytes=len(plain) // 2, macs=0.6),
        budget=options.budget,
        epochs=options.epochs,
        generation=options.generation,
        space=SPACE,
        folder=FOUND / options.network,
        optimizer=optimizer_of(options),
        batch_size=BATCH,
    )
    print(result, flush=True)
    result.save(FOUND / f"{options.network}_result")
    floats = kc.convert(model, "float32", progress=False)
    rows = [
        {
            "network": options.network,
            "model": name,
            "choosing half %": round(100 * accuracy(file, *choosing), 2),
            "other half %": round(100 * accuracy(file, *last), 2),
            "bytes": len(file),
            "of int8": round(len(file) / len(plain), 3),
            "MACs": kc.check(file, PROFILE).macs,
        }
        for name, file in (
            ("float", floats.content),
            ("int8 after training", plain.content),
            ("found", result.file),
        )
    ]
    facts = {
        "seconds": f"{result.seconds:.0f} of a budget of {options.budget:g}",
        "trials": len(result.trials) - 1,
        "met": result.meets_constraints or result.unmet,
        "recipe": json.dumps(result.recipe.to_json()),
        "training": f"{options.epochs} epochs of {options.images:,} images, rate {options.rate}",
        "data": source(),
        "baseline": f"{record['network']}, {record['epochs']} epochs",
    }
    write_section(f"Search: {options.network}", table(rows), provenance(versions(), **facts))


def uniform(options):
    found = kc.Recipe.of(FOUND / f"{options.network}_result" / "recipe.toml")
    model, _ = baseline(options.network)
    most = _bytes_at_once(model, found)
    layers = dataclasses.replace(found, criterion="l2_norm", ranking="layer")
    recipes = {"searched": found, "uniform zeros and channels": _even(model, layers, most)}
    if layers != found:
        recipes["uniform zeros"] = _even(model, found, most)
    rows = []
    for seed, (name, recipe) in itertools.product(options.seeds, recipes.items()):
        rows.append({"seed": seed, "recipe": name, **_tuned(model, recipe, seed, options)})
        print(json.dumps(rows[-1]), flush=True)
    zeros = {name: recipe.to_json()["sparsity"] for name, recipe in recipes.items()}
    _write(
        f"Search: {options.network}, searched and uniform",
        rows,
        options,
        accuracy=_means(rows, "recipe"),
        zeros=json.dumps(zeros),
    )


def _means(rows, name):
    """Return mean and deviation of the accuracy for each value of a column."""
    found = {}
    for row in rows:
        found.setdefault(row[name], []).append(row["accuracy %"])
    return ", ".join(f"{value} {spread(each)}" for value, each in found.items())


def _even(model, recipe, most):
    """Return the recipe with the same zeros in every layer that takes no more bytes."""
    evens = [
        dataclasses.replace(recipe, sparsity=round(float(share), 2))
        for share in np.arange(0.3, 0.95, 0.01)
    ]
    place = bisect.bisect_left(evens, True, key=lambda even: _bytes_at_once(model, even) <= most)
    if place == len(evens):
        raise SystemExit("no uniform recipe is as small")
    return evens[place]


def _bytes_at_once(model, recipe):
    from keras_compress.searching.objectives import device_file
    from keras_compress.searching.one_shot import compress_without_training

    data = load("train", 256)
    return len(
        device_file(kc.convert(compress_without_training(model, recipe, data), PROFILE), recipe)
    )


def distillation(options):
    model, _ = baseline(options.network)
    recipe = kc.Recipe(profile=PROFILE, channels=0.5, criterion="taylor")
    rows = []
    for seed in options.seeds:
        for alpha in (0.0, 0.5):
            rows.append(
                {"seed": seed, "alpha": alpha, **_tuned(model, recipe, seed, options, alpha)}
            )
            print(json.dumps(rows[-1]), flush=True)
    _write(
        f"Distillation: {options.network}, int8 and half of the channels",
        rows,
        options,
        accuracy=_means(rows, "alpha"),
    )


def workers(options):
    """Search on two workers of a core each, then on one, and compare what was tried."""
    import ray

    model, _ = baseline(options.network)
    validation = load("test", 2000)
    rows, tried = [], []
    # Two first: what the first run loads in this process counts against them.
    for count in (2, 1):
        ray.init(num_cpus=count, include_dashboard=False, log_to_driver=False)
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            result = kc.search(
                model,
                functools.partial(images, options.images),
                validation,
                profile=PROFILE,
                constraints=kc.Constraints(max_accuracy_drop=0.01, macs=0.6),
                trials=options.generation,
                generation=options.generation,
                epochs=options.epochs,
                space=SPACE,
                folder=folder,
                optimizer=optimizer_of(options),
                batch_size=BATCH,
                executor="ray",
            )
        seconds = time.perf_counter() - begin
        ray.shutdown()
        tried.append(
            {
                trial.number: (trial.recipe, trial.state, trial.epochs, trial.accuracy)
                for trial in result.trials
            }
        )
        rows.append({"workers": count, "seconds": round(seconds), "trials": len(tried[-1]) - 1})
        print(rows[-1], flush=True)
    share = rows[0]["seconds"] / rows[1]["seconds"]
    rows[0]["of one worker's time"] = f"{share:.2f}"
    rows[1]["of one worker's time"] = "1.00"
    _write(
        f"Search: {options.network} on Ray",
        rows,
        options,
        judged=len(validation[0]),
        same_trials=tried[0] == tried[1],
    )


def _tuned(model, recipe, seed, options, alpha=0.5):
    """Train a recipe and return the figures of its file on all test images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "baseline.keras"
        model.save(path)
        context = Context(
            baseline=str(path),
            train=functools.partial(images, options.images, seed),
            validation=load("test"),
            tuning=FineTuning(
                epochs=options.epochs,
                batch_size=BATCH,
                optimizer=optimizer_of(options),
                alpha=alpha,
                seed=seed,
            ),
        )
        job = Job(number=0, recipe=recipe, until=options.epochs, folder=f"{folder}/trial")
        found = run(job, context)["objectives"]
        return {
            "accuracy %": round(100 * found["accuracy"], 2),
            "bytes": found["flash_bytes"],
            "MACs": found["macs"],
        }


def _write(title, rows, options, judged=5000, **more):
    facts = {
        **more,
        "training": f"{options.epochs} epochs of {options.images:,} images, rate {options.rate}; "
        f"{judged:,} test images",
        "data": source(),
    }
    write_section(title, table(rows), provenance(versions(), **facts))


PARTS = {
    "search": search,
    "uniform": uniform,
    "distillation": distillation,
    "workers": workers,
}


def main():
    keras.utils.set_random_seed(0)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--network", default="resnet8")
    parser.add_argument("--budget", type=float, default=1800.0)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0.05, help="the highest learning rate")
    parser.add_argument("--generation", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
