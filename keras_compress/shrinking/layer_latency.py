"""Time the layers of a model one by one, before and after channels were removed."""

import dataclasses
import statistics
import time

import keras
import numpy as np

from keras_compress.graph.graph import trace
from keras_compress.graph.replay import arguments


def with_latency(report, model, smaller, repeats=20):
    """Fill in the measured latency of each layer.

    Each layer is compiled by itself and run on one sample, so that the sum of all is more than
    the time of the whole model, where layers are fused. It tells where time goes on this
    machine, not on a target.

    Args:
        report: The `ShrinkReport` of the removal.
        model: The model before.
        smaller: The model after.
        repeats: Runs of each layer; the median counts.

    Returns:
        The report with `latency_ms` of each layer; `None` for layers with free sizes.
    """
    before, after = layer_latencies(model, repeats), layer_latencies(smaller, repeats)
    layers = [
        dataclasses.replace(layer, latency_ms=(before[layer.name], after.get(layer.name, 0.0)))
        if layer.name in before
        else layer
        for layer in report.layers
    ]
    return dataclasses.replace(report, layers=tuple(layers))


def layer_latencies(model, repeats=20):
    """Return the median milliseconds of each layer on one sample, by name.

    A layer that is called several times counts its first call.
    """
    times = {}
    for call in trace(model).calls:
        if call.name not in times and isinstance(call.operation, keras.layers.Layer):
            arrays = _samples(call)
            if arrays is not None:
                times[call.name] = _median(call, arrays, repeats)
    return times


def _samples(call):
    if any(None in value.shape[1:] for value in call.inputs):
        return None
    rng = np.random.default_rng(0)
    return {
        value: keras.ops.convert_to_tensor(rng.random((1, *value.shape[1:])), value.dtype)
        for value in call.inputs
    }


def _median(call, arrays, repeats):
    import tensorflow as tf

    args, kwargs = arguments(call, arrays)
    run = tf.function(lambda: call.operation(*args, **kwargs))
    run()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return statistics.median(found) * 1e3
