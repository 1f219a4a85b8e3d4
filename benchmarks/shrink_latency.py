"""Does removing channels pay? Measured int8 latency in LiteRT against the MACs that are left.

    python benchmarks/shrink_latency.py                  # a few minutes; prints a table
    python benchmarks/shrink_latency.py resnet20 mobilenet_v2 --threads 1

A product costs up to four times as much in one layer as in another (depthwise convolutions, few
channels, the stem). So each layer is converted and timed by itself, the budget is time, and
channels go by their score for what they cost.

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
from keras_compress.graph.graph import trace

ROUNDS = 300


def keras_network(build, size=96, **options):
    return build(weights=None, input_shape=(size, size, 3), classes=10, **options)


MODELS = {
    "resnet8": NETWORKS["resnet8"],
    "resnet20": NETWORKS["resnet20"],
    "mobilenet_v1_025": NETWORKS["mobilenet_v1_025"],
    "mobilenet_v1_025_96": lambda: keras_network(keras.applications.MobileNet, alpha=0.25),
    "mobilenet_v2": lambda: keras_network(keras.applications.MobileNetV2),
}
CUT = {"latency": 0.66, "ranking": "per_cost", "round_to": 8, "minimum": 0.25}
TIMED_LAYERS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


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


def layer_latencies(model, threads):
    """Return the milliseconds of each convolution and dense layer as an int8 file of its own."""
    timed, keys = {}, {}
    for call in trace(model).calls:
        layer = call.operation
        if isinstance(layer, TIMED_LAYERS):
            config = {**layer.get_config(), "name": "layer"}
            key = keys[call.name] = (type(layer).__name__, call.inputs[0].shape, repr(config))
            if key not in timed:
                inputs = keras.Input(call.inputs[0].shape[1:])
                alone = keras.Model(inputs, type(layer).from_config(config)(inputs))
                timed[key] = Timed(int8(alone), threads)
    best = dict(zip(timed, fastest(list(timed.values())), strict=True))
    return {name: best[key] for name, key in keys.items()}


def fastest(timed):
    """Run all in turns; return the shortest milliseconds of each."""
    for _ in range(ROUNDS):
        for one in timed:
            one.run()
    return [float(np.min(one.times)) * 1e3 for one in timed]


def measure(name, threads):
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    latencies = layer_latencies(model, threads)
    smaller, report = kc.shrink(model, latencies=latencies, return_report=True, **CUT)
    files = [int8(model), int8(smaller)]
    before, after = fastest([Timed(content, threads) for content in files])
    macs = report.macs[1] / report.macs[0]
    return {
        "network": name,
        "macs": report.macs,
        "macs_left": round(macs, 3),
        "latency_ms": [round(before, 4), round(after, 4)],
        "latency_left": round(after / before, 3),
        "latency_over_macs": round(after / before / macs, 3),
        "parameters_left": round(report.parameters[1] / report.parameters[0], 3),
        "bytes": [len(content) for content in files],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rows = []
    for name in options.networks:
        rows.append(measure(name, options.threads))
        print(json.dumps(rows[-1]), flush=True)
    text = (
        f"Int8 files in LiteRT, {options.threads} thread(s), random weights, whole and shrunk "
        f"network in turns, the shortest of {ROUNDS} runs. `kc.shrink(model, latencies=..., "
        f"{', '.join(f'{key}={value!r}' for key, value in CUT.items())})` with the times of the "
        "layers by themselves from the same run."
    )
    facts = {"tensorflow": tf.__version__, "keras": keras.__version__}
    write_section("Removing channels: latency", text, table(rows), provenance(facts))


if __name__ == "__main__":
    main()
