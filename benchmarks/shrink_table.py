"""Shrink one network of each family of keras.applications, and write docs/shrink_table.md.

    python benchmarks/shrink_table.py                      # all families: about 20 minutes
    python benchmarks/shrink_table.py MobileNetV2 VGG16    # these; other rows stay as they are

Weights are random and images are 96 x 96, so the table tells of structure, not of accuracy. For
each network: half of the multiply-accumulates are removed (L2 norm, channels in eights); the
result is saved, loaded, trained for a step and converted to int8 beside the whole network; and,
for exactness, a third of the channels of the whole network are set to zero and removed.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_compress as kc
from keras_compress.shrinking.dependency_graph import DependencyGraph

FAMILIES = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0"),
    *("NASNetMobile", "DenseNet121", "ResNet50", "ResNet50V2", "InceptionV3"),
    *("InceptionResNetV2", "Xception", "VGG16", "ConvNeXtTiny"),
)
SIZE = 96
CLASSES = 100
ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "shrink_table.md"
RECORD = ROOT / "docs" / "shrink_table.json"


def network(name):
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "moving_variance" in weight.path or "gamma" in weight.path:
            weight.assign(rng.uniform(0.5, 1.0, weight.shape))
        elif "beta" in weight.path or "moving_mean" in weight.path:
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def images(count):
    return np.random.default_rng(1).uniform(0, 255, (count, SIZE, SIZE, 3)).astype("float32")


def measure(name, folder):
    model = network(name)
    start = time.perf_counter()
    graph = DependencyGraph(model)
    graph_seconds = time.perf_counter() - start
    smaller, report = kc.shrink(model, macs=0.5, round_to=8, return_report=True)
    seconds = time.perf_counter() - start
    return {
        "name": name,
        "layers": len(graph.graph.calls),
        "groups": graph.size,
        "macs": report.macs,
        "parameters": report.parameters,
        "graph_seconds": round(graph_seconds, 2),
        "seconds": round(seconds, 2),
        "protected": sorted(set(report.protected.values())),
        "not_followed": report.unknown,
        "saved_and_loaded": saves(smaller, folder),
        "trained": trains(smaller),
        "int8": [int8(model), int8(smaller)],
        **exactness(model, graph),
    }


def saves(model, folder):
    path = Path(folder) / "smaller.keras"
    model.save(path)
    x = images(1)
    return bool(np.allclose(keras.models.load_model(path)(x), model(x), atol=1e-6))


def trains(model):
    model = keras.models.clone_model(model)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return bool(np.isfinite(model.train_on_batch(images(2), np.zeros(2))))


def int8(model):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images(2))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        content = converter.convert()
    except Exception as error:
        return {"error": str(error).splitlines()[0]}
    return {"bytes": len(content), "float_tensors": kc.inspect(content).float_tensors}


def exactness(model, graph):
    """Set a third of the channels to zero, remove them, and compare the outputs."""
    rng = np.random.default_rng(2)
    chosen = graph.prunable & (rng.random(graph.size) < 1 / 3)
    for slot in graph.slots:
        if "moving_variance" not in slot.weight.path:
            array = np.moveaxis(np.asarray(slot.weight).copy(), slot.axis, 0)
            array[chosen[slot.groups]] = 0
            slot.weight.assign(np.moveaxis(array, 0, slot.axis))
    smaller, report = kc.remove_zeros(model, return_report=True)
    x = images(2)
    whole = np.asarray(model(x))
    error = np.abs(np.asarray(smaller(x)) - whole).max() / np.abs(whole).max()
    return {
        "zeroed": int(chosen.sum()),
        "removed": report.free_channels,
        "error": float(error),
        "inexact": len(graph.inexact),
    }


def table(rows):
    lines = [
        "# What `kc.shrink` does to the families of keras.applications",
        "",
        f"Written by `python benchmarks/shrink_table.py`: random weights, {SIZE} x {SIZE} images,",
        f"{CLASSES} classes, `kc.shrink(model, macs=0.5, round_to=8)`, one core.",
        "",
        "| network | layers | MACs before | after | parameters before | after | graph, all (s) "
        "| saved, loaded, trained | int8 bytes before | after | float tensors before, after "
        "| zero channels removed | outputs then differ by |",
        "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|",
        *map(line, rows),
        "",
        "The last column is relative to the largest output. Channels that had to stay:",
        "",
        *(f"- {row['name']}: {'; '.join(row['protected']) or 'none'}" for row in rows),
        "",
    ]
    notes = [row["name"] for row in rows if row["inexact"]]
    if notes:
        lines += [
            "Where a layer normalization takes its statistics over the channels",
            f"({', '.join(notes)}), removing one changes the others even if it is zero:",
            "`kc.remove_zeros` leaves these, `kc.shrink` removes them like all others.",
            "",
        ]
    return "\n".join(lines)


def line(row):
    before, after = row["int8"]
    floats = " / ".join(str(x.get("float_tensors", "does not convert")) for x in (before, after))
    sizes = [f"{x['bytes']:,}" if "bytes" in x else "-" for x in (before, after)]
    works = ("yes" if row["saved_and_loaded"] and row["trained"] else "no",)
    cells = [
        row["name"],
        row["layers"],
        f"{row['macs'][0]:,}",
        f"{row['macs'][1] / row['macs'][0]:.1%}",
        f"{row['parameters'][0]:,}",
        f"{row['parameters'][1] / row['parameters'][0]:.1%}",
        f"{row['graph_seconds']:.2f}, {row['seconds']:.1f}",
        *works,
        *sizes,
        floats,
        f"{row['removed']:,} of {row['zeroed']:,}",
        f"{row['error']:.1e}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=FAMILIES)
    options = parser.parse_args()
    TABLE.parent.mkdir(exist_ok=True)
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            known[name] = measure(name, folder)
        keras.backend.clear_session()
        print(json.dumps(known[name]), flush=True)
        RECORD.write_text(json.dumps(known, indent=1) + "\n")
        TABLE.write_text(table([known[family] for family in FAMILIES if family in known]))


if __name__ == "__main__":
    main()
