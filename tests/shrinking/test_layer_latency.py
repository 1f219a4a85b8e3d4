"""layer_latency.py: the report has a time for each layer, before and after."""

import keras
import matplotlib
from keras import layers

import keras_compress as kc


def test_layers_are_timed_and_the_report_can_be_drawn():
    matplotlib.use("agg")
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(64, 3, name="first")(inputs)
    x = layers.Conv2D(64, 3, name="second")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    smaller, report = kc.shrink(model, macs=0.1, return_report=True, measure_latency=True)
    times = {layer.name: layer.latency_ms for layer in report.layers}
    assert 0 < times["second"][1] < times["second"][0]
    assert "milliseconds, layers measured one by one" in str(report)
    bars = report.plot().patches
    assert len(bars) == 2 * sum(layer.macs[0] > 0 for layer in report.layers)
