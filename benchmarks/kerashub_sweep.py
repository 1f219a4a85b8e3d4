"""Take networks of KerasHub down the whole road, and write their section of benchmarks/RESULTS.md.

    pip install keras-hub                    # no dependency of keras_compress; it needs
                                             # kagglehub, regex and tokenizers to be imported
    python benchmarks/kerashub_sweep.py      # all; goes on where it was stopped
    python benchmarks/kerashub_sweep.py ViT  # print what becomes of these alone

Each network is a small configuration with random weights: nothing is downloaded. `kc.compress` for
pruning and quantization, one step of `fit` with both callbacks, `kc.strip`, save and load of both
models, `kc.convert` to int8 of the trained and of the plain model, `kc.check`, `kc.shrink`. A stage
that stops is a word in the table and a line below it; the others go on. Each network has a process
of its own and a limit of time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings

import results
from record import Record

STAGES = ("compress", "fit", "strip", "files", "trained", "plain", "check", "shrink")
LIMIT_SECONDS = 1200
SPARSITY = 0.5
TITLE = "Networks of KerasHub"
EXPLANATION = f"""Small configurations with random weights and {{count}} samples.

- **compressed**: share of the kernels' weights that `kc.compress` prunes and quantizes.
- **strip**, **files**: the stripped model, and both models after saving and loading
  (`safe_mode=False` for classes that KerasHub does not register), predict the same.
- **trained**: the int8 file after one step of `fit` with {SPARSITY:.0%} zeros: its bytes,
  and its outputs against those of the compressed Keras model, in dB.
- **plain**: the int8 file of the plain model, with ranges from samples.
- **check**: the verdict of `kc.check` for `generic_int8` on the last file.
- **shrink**: the weights that `kc.shrink` leaves of all (`macs=0.7`, or `channels=0.7` where inputs
  have a free size)."""


class Failure(Exception):
    """A stage whose result is not what it has to be."""


class Road:
    """One network's way; each method is a stage that returns a cell of the table.

    Args:
        name: Name of a network.
        folder: Folder for files.
    """

    def __init__(self, name, folder):
        import keras
        import kerashub_networks

        keras.utils.set_random_seed(0)
        self.folder = folder
        self.model = kerashub_networks.NETWORKS[name]()
        for layer in self.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        self.x = kerashub_networks.samples(self.model)
        self.before = _outputs(self.model, self.x)
        self.shapes = self.file = None
        if any(None in tensor.shape[1:] for tensor in self.model.inputs):
            self.shapes = keras.tree.map_structure(lambda array: array.shape[1:], self.x)

    def compress(self):
        """Wrap what can be wrapped; what cannot is named in a warning."""
        import keras_compress as kc
        from keras_compress.wrappers.model_kernels import kernels_of, model_layers

        self.compressed = kc.compress(self.model, pruning=kc.Pruning(), quantization="generic_int8")
        sizes = {True: 0, False: 0}
        for kernel in kernels_of(model_layers(self.compressed)):
            sizes[type(kernel.layer).__name__ == "CompressedLayer"] += kernel.size
        return f"{sizes[True] / sum(sizes.values()):.0%}"

    def fit(self):
        """Train one step with both callbacks."""
        import keras
        import numpy as np

        import keras_compress as kc

        callbacks = [kc.PruningCallback(kc.ConstantSparsity(SPARSITY)), kc.QuantizationCallback()]
        targets = keras.tree.map_structure(np.zeros_like, self.before)
        optimizer, loss = keras.optimizers.SGD(1e-3), keras.tree.map_structure(_loss, targets)
        # KerasHub's own `compile` and `fit` want preprocessors and losses of the task.
        keras.Model.compile(self.compressed, optimizer, loss, jit_compile=False)
        keras.Model.fit(self.compressed, self.x, targets, verbose=0, callbacks=callbacks)
        outputs = keras.tree.flatten(_outputs(self.compressed, self.x))
        if not all(np.isfinite(array).all() for array in outputs):
            raise Failure("outputs are not finite")
        return "yes"

    def strip(self):
        """Take the wrappers out of an untrained and of the trained model."""
        import keras_compress as kc

        untrained = kc.compress(self.model, pruning=kc.Pruning(), quantization="generic_int8")
        _expect_equal(self.before, _outputs(kc.strip(untrained), self.x), 1e-4)
        self.stripped = kc.strip(self.compressed)
        parts = self.stripped._flatten_layers(include_self=False)
        if "keras_compress" in {type(part).__module__.split(".")[0] for part in parts}:
            raise Failure("the stripped model holds layers of keras_compress")
        return "yes"

    def files(self):
        """Save and load both models."""
        import keras_compress as kc

        for model in (self.compressed, self.stripped):
            path = os.path.join(self.folder, "model.keras")
            model.save(path)
            loaded = kc.load_model(path, compile=False, safe_mode=False)
            _expect_equal(_outputs(model, self.x), _outputs(loaded, self.x), 1e-6)
        return "yes"

    def trained(self):
        """Convert the trained model, and compare with it."""
        import keras_compress as kc

        file = self._converted(self.compressed)
        # The class of a task may decode its outputs in `predict`.
        error = kc.evaluate(file, self.x, baseline=self.compressed).to_json()["output_error"]
        decibel = error["sqnr_db"]
        return f"{len(file.content):,}, {'equal' if decibel is None else f'{decibel:.0f} dB'}"

    def plain(self):
        """Convert the plain model."""
        return f"{len(self._converted(self.model).content):,}"

    def _converted(self, model):
        import keras_compress as kc

        file = kc.convert(model, "generic_int8", self.x, input_shapes=self.shapes)
        if (count := kc.inspect(file.content).float_tensors) > 0:
            raise Failure(f"{count} float tensors")
        self.file = file
        return file

    def check(self):
        """Judge the last file."""
        import keras_compress as kc

        if self.file is None:
            return "-"
        return kc.check(self.file.content, "generic_int8").verdict

    def shrink(self):
        """Remove channels of the plain model."""
        import keras_compress as kc

        amount = {"macs": 0.7} if self.shapes is None else {"channels": 0.7}
        small = kc.shrink(self.model, **amount)
        _outputs(small, self.x)
        return f"{small.count_params():,} of {self.model.count_params():,}"


def _loss(target):
    return "mse"


def _outputs(model, x):
    import keras

    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))


def _expect_equal(expected, actual, tolerance):
    import keras
    import numpy as np

    pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(actual), strict=True)
    change = max(float(np.abs(one - other).max()) for one, other in pairs)
    if not change <= tolerance:
        raise Failure(f"outputs differ by {change}")


def walk(name):
    """Take one network down the road; print what became of it as one line of JSON."""
    row = {"network": name, "cells": {}, "stopped": {}, "in_float": []}
    with tempfile.TemporaryDirectory() as folder:
        road = Road(name, folder)
        row["weights"] = road.model.count_params()
        for stage in STAGES:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    row["cells"][stage] = getattr(road, stage)()
                except Exception as error:
                    row["cells"][stage] = "no"
                    row["stopped"][stage] = f"{type(error).__name__}: {_brief(error)}"
            said = [str(warning.message) for warning in caught]
            row["in_float"] += [_brief(m) for m in said if m.startswith("No quantization")][:1]
    row["in_float"] = row["in_float"][:1]
    print(json.dumps(row), flush=True)


def _brief(message):
    text = " ".join(str(message).split())
    return text if len(text) < 300 else f"{text[:300]} …"


def outcome(name):
    """Run one network in a process of its own, and return what `walk` printed."""
    command = [sys.executable, __file__, "--walk", name]
    row = {"network": name, "cells": {}, "weights": 0, "in_float": []}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return {**row, "stopped": {"any": f"no end after {LIMIT_SECONDS} s"}}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return {**row, "stopped": {"any": f"status {done.returncode}: {last}"}}
    return json.loads(lines[-1])


def paragraphs(rows):
    """Return the section's text of a list of outcomes."""
    cells = [
        {
            "network": row["network"],
            "weights": f"{row['weights']:,}",
            **{stage: row["cells"].get(stage, "no") for stage in STAGES},
        }
        for row in rows
    ]
    stops = [
        f"- {row['network']}, {stage}: {reason}"
        for row in rows
        for stage, reason in row["stopped"].items()
    ]
    floats = [f"- {row['network']}: {text}" for row in rows for text in row["in_float"]]
    yield results.table(cells)
    yield "\n".join(["What stops:", "", *stops]) if stops else "Nothing stops."
    yield "\n".join(["What stays in float in training, as `kc.compress` warns:", "", *floats])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--walk", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.walk:
        walk(options.walk)
        return
    if options.networks:
        for name in options.networks:
            print(json.dumps(outcome(name), indent=1))
        return
    from kerashub_networks import IMAGES, NETWORKS

    versions = results.package_versions("keras-hub", "keras", "tensorflow")
    record = Record("kerashub_sweep", {"versions": versions, "networks": list(NETWORKS)})
    for name in list(NETWORKS)[record.found :]:
        record.add(outcome(name))
        print(json.dumps(record.rows[-1]), flush=True)
    text = EXPLANATION.format(count=IMAGES)
    results.write_section(TITLE, results.provenance(versions), text, *paragraphs(record.rows))
    record.end()


if __name__ == "__main__":
    main()
