"""Measure the time of each layer of a model, before and after channels are removed."""

import dataclasses
import statistics
import time

import keras
import numpy as np

from keras_compress.graph.graph import trace
from keras_compress.graph.replay import arguments


def with_latency(report, model, smaller, repeats=20):
    """Add the measured latency of each layer to a report.

    Each layer is compiled separately and run on one sample. The times therefore add up to more
    than the time of the whole model, in which layers are fused. They show where time is spent on
    this machine, not on a target.

    Args:
        report: The `ShrinkReport` of the removal.
        model: The model before the removal.
        smaller: The model after it.
        repeats: Number of runs of each layer, of which the median is taken.

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

    If a layer is called several times, its first call is measured.
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
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e3
