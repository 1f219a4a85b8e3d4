"""Float baselines for the benchmarks: each trained once from a seed, then taken from the cache.

    python benchmarks/training.py resnet8 mobilenet_v1_025 resnet20
    python benchmarks/training.py resnet8 --seed 1 --epochs 6 --images 20000

From another benchmark:

    from training import baseline
    model, record = baseline("resnet8")       # record["accuracy"] on the test split

The cache is the folder that KERAS_COMPRESS_BENCH_CACHE names, by default `benchmarks/cache`.
It holds `NAME.keras` and `NAME.json` for every recipe that was trained. A run that was
interrupted goes on from its last whole epoch when it is started again.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from cifar10_data import augmented, load, load_uint8, source
from networks import NETWORKS

CACHE = Path(os.environ.get("KERAS_COMPRESS_BENCH_CACHE", Path(__file__).parent / "cache"))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one baseline is trained.

    Args:
        network: A name in `networks.NETWORKS`.
        epochs: Passes over the images.
        images: How many of the 50,000 training images.
        batch_size: Images per step.
        peak_learning_rate: Reached after a fifth of the steps; a cosine then falls to zero.
        weight_decay: Per step, times the learning rate; kernels only.
        seed: Of the weights, the order of the images and their augmentation.
    """

    network: str
    epochs: int
    images: int = 50_000
    batch_size: int = 128
    peak_learning_rate: float = 0.2
    weight_decay: float = 1e-3
    seed: int = 0

    @property
    def name(self):
        """The cache's file name, which holds whatever differs from the network's own recipe."""
        usual = BASELINES.get(self.network, self)
        changed = [
            f"{field.name}={value}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != getattr(usual, field.name)
        ]
        return "-".join([self.network, *changed])


BASELINES = {
    "resnet8": Recipe("resnet8", epochs=8),
    "mobilenet_v1_025": Recipe("mobilenet_v1_025", epochs=6),
    "resnet20": Recipe("resnet20", epochs=10),
}


def one_cycle(peak_learning_rate, steps, weight_decay=0.0, library=keras):
    """Return SGD with Nesterov momentum whose rate rises for a fifth of `steps`, then decays.

    Args:
        peak_learning_rate: The highest rate.
        steps: Of the whole training.
        weight_decay: Per step, times the rate; kernels only.
        library: `keras` or, for a peer that knows nothing newer, `tf_keras`.
    """
    rising = max(1, steps // 5)
    rate = library.optimizers.schedules.CosineDecay(
        peak_learning_rate / 20,
        decay_steps=max(1, steps - rising),
        warmup_target=peak_learning_rate,
        warmup_steps=rising,
    )
    optimizer = library.optimizers.SGD(rate, 0.9, nesterov=True, weight_decay=weight_decay or None)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def baseline(network, **changes):
    """Return the trained float model of `network` and the record of its training.

    Args:
        network: A name in `BASELINES`.
        **changes: Fields of `Recipe` that are to differ from the network's own recipe.

    Returns:
        A compiled `keras.Model` and a dict: the recipe's fields, "accuracy" on the whole test
        split, "seconds", "date", "data", "versions".
    """
    recipe = dataclasses.replace(BASELINES[network], **changes)
    path, notes = CACHE / f"{recipe.name}.keras", CACHE / f"{recipe.name}.json"
    if notes.exists():
        record = json.loads(notes.read_text())
        if all(record[key] == value for key, value in dataclasses.asdict(recipe).items()):
            return keras.models.load_model(path), record
    CACHE.mkdir(parents=True, exist_ok=True)
    model, record = train(recipe, backup=CACHE / f"{recipe.name}.backup")
    _save(model, path)
    notes.write_text(json.dumps(record, indent=2) + "\n")
    return model, record


def train(recipe, backup):
    """Train from the recipe's seed, or from the folder `backup` if an earlier run left one.

    The weights are those of the last epoch: the test split chooses nothing.
    """
    resumed = Path(backup).exists()
    keras.utils.set_random_seed(recipe.seed)
    model = NETWORKS[recipe.network]()
    data = augmented(*load_uint8("train", recipe.images), recipe.batch_size, recipe.seed)
    steps = recipe.epochs * len(data)
    model.compile(
        one_cycle(recipe.peak_learning_rate, steps, recipe.weight_decay),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA takes 1.8 times as long on two processor cores
    )
    x_test, y_test = load("test")
    start = time.perf_counter()
    model.fit(
        data,
        epochs=recipe.epochs,
        validation_data=(x_test, y_test),
        validation_batch_size=250,
        callbacks=[keras.callbacks.BackupAndRestore(backup)],
        verbose=2,
    )
    seconds = time.perf_counter() - start
    return model, {
        **dataclasses.asdict(recipe),
        "accuracy": round(model.evaluate(x_test, y_test, batch_size=250, verbose=0)[1], 4),
        "test_images": len(y_test),
        "seconds": round(seconds),
        "resumed": resumed,
        "date": datetime.date.today().isoformat(),
        "data": source(),
        "versions": versions(),
    }


def versions():
    """Return the versions that a figure depends on."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def _save(model, path):
    unfinished = path.with_name(f"unfinished-{path.name}")
    model.save(unfinished)
    os.replace(unfinished, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="+", choices=sorted(BASELINES))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    fields = ("epochs", "images", "seed")
    changes = {f: value for f in fields if (value := getattr(options, f)) is not None}
    for network in options.networks:
        _, record = baseline(network, **changes)
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
