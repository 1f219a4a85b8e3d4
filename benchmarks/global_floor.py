"""What global ranking costs small networks, by the floor that it leaves each layer.

    python benchmarks/global_floor.py

README's recipe on scikit-learn's digits: train, then prune with `scope="global"` for the first 40 %
of ten epochs, and train on. Accuracy on the 450 test images, mean and sample deviation over the
seeds; `least kept` is the smallest fraction of its weights that a layer kept in any seed. `floor`s
rank by magnitude, `lamp` by that criterion without a floor, `lamp, floor 0.5` as README's recipe
does, `layer` prunes every layer alike.
Writes its section of RESULTS.md; `--section ""` prints only.
"""

import argparse
import itertools

import keras
import numpy as np
import results
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from training import versions

import keras_compress as kc

FLOORS = (0.0, 0.25, 0.5, 0.75)


def conv():
    x = inputs = keras.Input((8, 8, 1))
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x)))
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def depthwise():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2)):
        x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def residual():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(x))
    for _ in range(2):
        y = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(x))
        x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same")(y)]))
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


NETWORKS = {"conv": conv, "depthwise": depthwise, "residual": residual}
RANKINGS = {f"floor {floor}": {"scope": "global", "floor": floor} for floor in FLOORS}
RANKINGS |= {"lamp": {"scope": "global", "criterion": "lamp", "floor": 0.0}}
RANKINGS |= {"lamp, floor 0.5": {"scope": "global", "criterion": "lamp"}, "layer": {}}


def data(seed):
    digits = load_digits()
    images = digits.images[..., None].astype("float32") / 16
    labels = digits.target.astype("int32")
    return train_test_split(images, labels, test_size=450, stratify=labels, random_state=seed)


def train(model, x, y, epochs, callbacks=()):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, verbose=0, callbacks=list(callbacks))


def accuracy(model, x, y):
    return 100 * model.evaluate(x, y, verbose=0)[1]


def pruned(trained, x, y, sparsity, ranking):
    """Return a trained model, pruned by a ranking."""
    model = kc.compress(trained, pruning=kc.Pruning(**ranking))
    schedule = kc.PolynomialDecay(sparsity, end_step=0.4, frequency=0.02)
    train(model, x, y, 10, [kc.PruningCallback(schedule)])
    return model


def least_kept(model):
    """Return the smallest fraction of its weights that a prunable kernel of a model kept."""
    wrappers = [layer for layer in model.layers if getattr(layer, "prunable_kernels", ())]
    kept = [np.mean(keras.ops.convert_to_numpy(w.prunable_kernels[0].mask)) for w in wrappers]
    return float(min(kept))


def rows(network, seeds, sparsities, rankings):
    """Return a table's rows for a network."""
    found = {}
    for seed in seeds:
        x, x_test, y, y_test = data(seed)
        keras.utils.set_random_seed(seed)
        trained = NETWORKS[network]()
        train(trained, x, y, 20)
        found.setdefault(("float", 0.0), []).append((accuracy(trained, x_test, y_test), 1.0))
        for sparsity, name in itertools.product(sparsities, rankings):
            keras.utils.set_random_seed(seed)
            model = pruned(trained, x, y, sparsity, RANKINGS[name])
            measured = accuracy(model, x_test, y_test), least_kept(model)
            found.setdefault((name, sparsity), []).append(measured)
    for (name, sparsity), measured in found.items():
        accuracies, least = zip(*measured, strict=True)
        cells = {"network": network, "ranking": name, "zeros %": round(100 * sparsity)}
        least_percent = round(100 * min(least), 1)
        yield cells | {"accuracy %": results.spread(accuracies), "least kept %": least_percent}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rankings", nargs="+", choices=RANKINGS, default=list(RANKINGS))
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.75, 0.9])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--section", default="Global ranking: the floor of each layer")
    options = parser.parse_args()
    table = []
    for network in options.networks:
        for row in rows(network, options.seeds, options.sparsities, options.rankings):
            print(row, flush=True)
            table.append(row)
    if options.section:
        facts = results.provenance(versions(), seeds=options.seeds)
        results.write_section(options.section, facts, results.table(table))


if __name__ == "__main__":
    main()
