"""layer_latency.py: the report has a time for each layer, before and after.

The clock is replaced: how long a layer takes on a busy machine says nothing.
"""

import itertools
import types

import keras
import matplotlib
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.shrinking import layer_latency


def _network():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(64, 3, name="first")(inputs)
    x = layers.Conv2D(64, 3, name="second")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def test_layers_are_timed_before_and_after_and_the_report_can_be_drawn(monkeypatch):
    def outputs_of(call, arrays, repeats):
        return float(np.prod(call.operation(*arrays.values()).shape))

    monkeypatch.setattr(layer_latency, "_median", outputs_of)
    matplotlib.use("agg")
    model = _network()
    smaller, report = kc.shrink(model, macs=0.1, return_report=True, measure_latency=True)
    times = {layer.name: layer.latency_ms for layer in report.layers}
    assert smaller.get_layer("second").filters < 64
    for name in ("first", "second"):
        sizes = [np.prod(m.get_layer(name).output.shape[1:]) for m in (model, smaller)]
        assert times[name] == tuple(sizes)
    assert "milliseconds, layers measured one by one" in str(report)
    bars = report.plot().patches
    assert len(bars) == 2 * sum(layer.macs[0] > 0 for layer in report.layers)


def test_a_layers_time_is_the_median_of_its_runs_in_milliseconds(monkeypatch):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")])
    durations = [0.5, 0.002, 0.001, 0.004, 0.003]
    # Each run reads the clock before and after.
    readings = itertools.accumulate(step for duration in durations for step in (1.0, duration))
    clock = types.SimpleNamespace(perf_counter=lambda: next(readings))
    monkeypatch.setattr(layer_latency, "time", clock)
    assert layer_latency.layer_latencies(model, repeats=5) == {"head": pytest.approx(3.0)}
