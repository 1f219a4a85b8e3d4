"""Does removing channels pay? Measured int8 latency in LiteRT against the MACs that are left.

    python benchmarks/shrink_latency.py                  # a few minutes; prints a table
    python benchmarks/shrink_latency.py resnet20 --macs 0.5 --round_to 8 --threads 1

Whole and shrunk networks are timed in turns in one process, on the same threads, so that other
load on the machine meets both alike; the figures are their shortest times, which such load
disturbs least. Weights are random: they have no influence on time.
"""

import argparse
import json
import time

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from networks import NETWORKS
from results import provenance, table, write_section

import keras_compress as kc

ROUNDS = 300


def keras_network(build, size=96):
    return build(weights=None, input_shape=(size, size, 3), classes=10)


MODELS = {
    "resnet8": NETWORKS["resnet8"],
    "resnet20": NETWORKS["resnet20"],
    "mobilenet_v1": lambda: keras_network(keras.applications.MobileNet),
    "mobilenet_v2": lambda: keras_network(keras.applications.MobileNetV2),
    "mobilenet_v1_025": NETWORKS["mobilenet_v1_025"],
}
# ResNet8's first 16 channels stay whole where channels are kept in sixteens.
MACS = {"resnet8": 0.6}


def int8(model):
    shape = (1, *model.input.shape[1:])
    samples = np.random.default_rng(0).random((8, *shape)).astype("float32")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


class Timed:
    """An interpreter whose runs are timed.

    Args:
        content: The file's bytes.
        threads: Number of threads.
    """

    def __init__(self, content, threads):
        self.interpreter = Interpreter(model_content=content, num_threads=threads)
        self.interpreter.allocate_tensors()
        entry = self.interpreter.get_input_details()[0]
        values = np.random.default_rng(0).integers(-128, 128, entry["shape"], dtype=np.int8)
        self.interpreter.set_tensor(entry["index"], values)
        self.times = []
        self.repeats = 1
        while self.run() < 2e-3:
            self.repeats *= 2
        self.times = []

    def run(self):
        """Run for some milliseconds, note the time of one run, return that of all."""
        start = time.perf_counter()
        for _ in range(self.repeats):
            self.interpreter.invoke()
        elapsed = time.perf_counter() - start
        self.times.append(elapsed / self.repeats)
        return elapsed


def measure(name, options):
    model = MODELS[name]()
    smaller, report = kc.shrink(
        model,
        macs=options.macs or MACS.get(name, 0.5),
        round_to=options.round_to,
        ranking=options.ranking,
        return_report=True,
    )
    files = [int8(model), int8(smaller)]
    timed = [Timed(content, options.threads) for content in files]
    for _ in range(ROUNDS):
        for one in timed:
            one.run()
    before, after = (float(np.min(one.times)) * 1e3 for one in timed)
    macs = report.macs[1] / report.macs[0]
    return {
        "network": name,
        "macs": report.macs,
        "macs_left": round(macs, 3),
        "latency_ms": [round(before, 3), round(after, 3)],
        "latency_left": round(after / before, 3),
        "latency_over_macs": round(after / before / macs, 3),
        "parameters_left": round(report.parameters[1] / report.parameters[0], 3),
        "bytes": [len(content) for content in files],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=list(MODELS))
    parser.add_argument("--macs", type=float, help="default: 0.5, for resnet8 0.6")
    parser.add_argument("--round_to", type=int, default=16)
    parser.add_argument("--ranking", choices=["global", "layer"], default="global")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rows = [measure(name, options) for name in options.networks]
    for row in rows:
        print(json.dumps(row), flush=True)
    text = f"Int8 files in LiteRT, {options.threads} thread(s), channels in {options.round_to}s."
    facts = {"tensorflow": tf.__version__, "keras": keras.__version__}
    write_section("Removing channels: latency", text, table(rows), provenance(facts))


if __name__ == "__main__":
    main()
