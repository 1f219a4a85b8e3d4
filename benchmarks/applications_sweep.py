"""Take the networks of keras.applications down the whole road, and write docs/applications.md.

    python benchmarks/applications_sweep.py                  # all that have no row yet
    python benchmarks/applications_sweep.py MobileNet VGG16  # these; other rows stay as they are
    python benchmarks/applications_sweep.py --again          # all, anew

For each network, without trained weights and at the smallest images that it takes: `kc.compress`
for pruning and quantization, one step of `fit` with both callbacks, save, load, `kc.strip`,
`kc.convert` to int8, `kc.evaluate` against the float model. Each network has a process of its own
and a limit of time, so that what happens to one of them happens to no other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from idle_processes import end_idle_processes

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "applications.md"
RECORD = ROOT / "docs" / "applications.json"

# Smallest images of one member of each family (two of MobileNetV3), the quick ones first.
NETWORKS = {
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "MobileNetV3Large": 32,
    "VGG16": 32,
    "Xception": 71,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "InceptionV3": 75,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "NASNetMobile": 32,
    "InceptionResNetV2": 75,
}
STAGES = ("compress", "fit", "save", "load", "strip", "convert", "evaluate")
LIMIT_SECONDS = 1800
SPARSITY = 0.5
CLASSES = 10
IMAGES = 32

INTRODUCTION = f"""# The road with each family of keras.applications

Written by `python benchmarks/applications_sweep.py`. Each network without trained weights, at the
smallest images that it takes and {CLASSES} classes: `kc.compress` for pruning and quantization,
one step of `fit` with `kc.PruningCallback` ({SPARSITY:.0%}) and `kc.QuantizationCallback`, save,
load, `kc.strip`, `kc.convert` for `generic_int8`, `kc.evaluate`.

- **pure int8**: `kc.convert` read the file back and found no float tensor.
- **zeros**: weights of the file that are zero; all kernels but depthwise ones are pruned.
- **as in Keras**: output integers of the file that are at most one step from those of the
  compressed Keras model, over {IMAGES} images.
- **SQNR**: the file's outputs against those of the stripped float model. Random weights make it
  small, and so does a network that saw one batch.
"""


class Failure(Exception):
    """A stage whose result is not what it has to be."""


def network(name):
    """Return a network of keras.applications whose normalizations learn from a single batch."""
    import keras

    keras.utils.set_random_seed(0)
    shape = (NETWORKS[name], NETWORKS[name], 3)
    model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=CLASSES)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    return model


def patches(count, size):
    """Return images of large coloured patches: noise would look the same to every deep layer."""
    import numpy as np

    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (count, 3, 3, 3)).astype("float32")
    scale = -(-size // 3)
    return coarse.repeat(scale, axis=1).repeat(scale, axis=2)[:, :size, :size]


class Road:
    """One network's way; each method is a stage.

    Args:
        name: Name of a function of keras.applications.
        folder: Folder for files.
    """

    def __init__(self, name, folder):
        import numpy as np

        self.facts = {"name": name, "size": NETWORKS[name]}
        self.path = os.path.join(folder, "compressed.keras")
        self.model = network(name)
        self.facts["layers"] = len(self.model.layers)
        self.facts["parameters"] = self.model.count_params()
        self.x = patches(IMAGES, NETWORKS[name])
        self.y = np.arange(IMAGES) % CLASSES

    def compress(self):
        """Wrap every layer that can be."""
        import keras_compress as kc

        self.model = kc.compress(self.model, pruning=kc.Pruning(), quantization="generic_int8")

    def fit(self):
        """Train one step with both callbacks."""
        import numpy as np

        import keras_compress as kc

        self.model.compile("sgd", "sparse_categorical_crossentropy")
        callbacks = [kc.PruningCallback(kc.ConstantSparsity(SPARSITY)), kc.QuantizationCallback()]
        logs = self.model.fit(self.x, self.y, verbose=0, callbacks=callbacks).history
        if not np.isfinite(logs["loss"][0]):
            raise Failure(f"the loss is {logs['loss'][0]}")
        if abs(logs["sparsity"][0] - SPARSITY) > 0.01:
            raise Failure(f"the sparsity is {logs['sparsity'][0]}")

    def save(self):
        """Write a `.keras` file."""
        import numpy as np

        self.outputs = np.asarray(self.model(self.x, training=False))
        self.model.save(self.path)

    def load(self):
        """Load it, and compare the outputs."""
        import numpy as np

        import keras_compress as kc

        self.model = kc.load_model(self.path, compile=False)
        change = np.abs(np.asarray(self.model(self.x, training=False)) - self.outputs).max()
        if change > 1e-6:
            raise Failure(f"the loaded model's outputs differ by {change}")

    def strip(self):
        """Take the wrappers out."""
        import keras_compress as kc

        self.plain = kc.strip(self.model)
        kinds = {type(layer).__module__.split(".")[0] for layer in self.plain._flatten_layers()}
        if "keras_compress" in kinds:
            raise Failure("the stripped model holds layers of keras_compress")

    def convert(self):
        """Make the file for `generic_int8`."""
        import keras_compress as kc

        self.converted = kc.convert(self.model, "generic_int8", self.x)
        self.facts["float_tensors"] = kc.inspect(self.converted.content).float_tensors
        if self.facts["float_tensors"]:
            raise Failure(f"{self.facts['float_tensors']} float tensors")

    def evaluate(self):
        """Run the file beside the float model and beside the compressed one."""
        import keras_compress as kc

        result = kc.evaluate(self.converted, self.x, self.y, baseline=self.plain).to_json()
        self.facts["bytes"] = result["model"]["bytes"]
        self.facts["zeros"] = result["model"]["sparsity"]
        self.facts["sqnr_db"] = result["output_error"]["sqnr_db"]
        self.facts["as_in_keras"] = as_in_keras(self.converted.content, self.x, self.outputs)


def as_in_keras(content, images, expected):
    """Return the fraction of a file's output integers within one step of the Keras model's."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = source["quantization"]
    steps = []
    for image, wanted in zip(images, expected, strict=True):
        integers = np.clip(np.round(image[None] / scale) + zero, -128, 127).astype("int8")
        interpreter.set_tensor(source["index"], integers)
        interpreter.invoke()
        output_scale, output_zero = sink["quantization"]
        got = (interpreter.get_tensor(sink["index"])[0].astype(int) - output_zero) * output_scale
        steps.append(np.abs(got - wanted) / output_scale)
    return float(np.mean(np.stack(steps) <= 1.001))


def processor_seconds():
    """Return what this process and the children that it waited for have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def walk(name):
    """Take one network down the road; print what became of it as one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        road = Road(name, folder)
        road.facts["processor_seconds"] = {}
        for stage in STAGES:
            start = processor_seconds()
            try:
                getattr(road, stage)()
            except Exception as error:
                reason = " ".join(str(error).split())
                road.facts["stopped"] = {"stage": stage, "error": type(error).__name__}
                road.facts["stopped"]["reason"] = reason
                break
            finally:
                if stage in ("convert", "evaluate"):
                    end_idle_processes()
                road.facts["processor_seconds"][stage] = round(processor_seconds() - start, 1)
    print(json.dumps(road.facts), flush=True)


def outcome(name):
    """Run one network in a process of its own.

    Args:
        name: Name of a network.

    Returns:
        What `walk` printed; where the process came to an end without it, how it ended.
    """
    command = [sys.executable, __file__, "--walk", name]
    facts = {"name": name, "size": NETWORKS[name]}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        reason = f"no end after {LIMIT_SECONDS} s"
        return {**facts, "stopped": {"stage": "any", "error": "TimeoutExpired", "reason": reason}}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        reason = f"status {done.returncode}: {last}"
        return {**facts, "stopped": {"stage": "any", "error": "Crash", "reason": reason}}
    return json.loads(lines[-1])


def page(rows):
    """Return the page of a list of outcomes."""
    passed = [row for row in rows if "stopped" not in row]
    missing = [name for name in NETWORKS if name not in {row["name"] for row in rows}]
    head = ["network", "images", "layers", "parameters", "pure int8", "bytes", "zeros"]
    head += ["as in Keras", "SQNR dB", "processor s"]
    lines = [
        INTRODUCTION,
        f"{len(passed)} of {len(rows)} networks pass entirely.",
        *([f"Not run yet: {', '.join(missing)}."] if missing else []),
        "",
        f"| {' | '.join(head)} |",
        "|---|--:|--:|--:|---|--:|--:|--:|--:|--:|",
        *map(line, rows),
        "",
        *(stop_of(row) for row in rows if "stopped" in row),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def line(row):
    """Return a row of the table."""
    size = f"{row['size']} x {row['size']}"
    cells = [row["name"], size, row.get("layers", "-"), f"{row.get('parameters', 0):,}"]
    if "stopped" in row:
        cells += [f"no: stops at {row['stopped']['stage']}", "-", "-", "-", "-"]
    else:
        cells += ["yes", f"{row['bytes']:,}", f"{row['zeros']:.1%}"]
        cells += [f"{row['as_in_keras']:.1%}", f"{row['sqnr_db']:.1f}"]
    used = row.get("processor_seconds")
    cells.append(f"{sum(used.values()):.0f}" if used else "-")
    return f"| {' | '.join(map(str, cells))} |"


def stop_of(row):
    """Return why a network did not get through."""
    stopped = row["stopped"]
    return f"- {row['name']}, {stopped['stage']}: {stopped['error']}: {stopped['reason']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--walk", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.walk:
        walk(options.walk)
        return
    known = json.loads(RECORD.read_text()) if RECORD.exists() and not options.again else {}
    left = options.networks or [name for name in NETWORKS if name not in known]
    for number, name in enumerate(left, 1):
        print(f"{number} of {len(left)}: {name}", flush=True)
        known[name] = outcome(name)
        print(json.dumps(known[name]), flush=True)
        rows = [known[network] for network in NETWORKS if network in known]
        RECORD.write_text(json.dumps({row["name"]: row for row in rows}, indent=1) + "\n")
        PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
