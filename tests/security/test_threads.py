"""Calls in threads leave the switches of the process as they were."""

import os
import sys
import threading
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_compress as kc
from keras_compress.support import process_state


class Doubling(keras.layers.Layer):
    """A layer with a `tf.function` inside, which lets `meet` run where it is called."""

    def __init__(self, meet=lambda: None, **options):
        super().__init__(**options)
        self._meet = meet

    def call(self, x):
        """Return 2x."""

        @tf.function
        def double(y):
            self._meet()
            return 2.0 * y

        return double(x)


def state():
    return {
        "eager": tf.config.functions_run_eagerly(),
        "floatx": keras.config.floatx(),
        "policy": keras.config.dtype_policy().name,
        "format": keras.config.image_data_format(),
        "log level": tf.get_logger().level,
        "log filters": list(tf.get_logger().filters),
        "warnings": list(warnings.filters),
        "streams": (sys.stdout, sys.stderr),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def network():
    # Drawn anew, one in some hundred networks has an output so small that `kc` warns of it.
    dense = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=0))
    model = keras.Sequential([keras.Input((6,)), dense, keras.layers.ReLU()])
    model.compile("sgd", "mse", jit_compile=False)
    return model


def test_an_ordinary_model_is_converted_without_the_switch(monkeypatch):
    switched = []
    monkeypatch.setattr(tf.config, "run_functions_eagerly", switched.append)
    kc.convert(network(), "float32", progress=False)
    assert not switched


def test_functions_inside_are_inlined_and_the_switch_is_put_back():
    before = state()
    model = keras.Sequential([keras.Input((6,)), Doubling(), keras.layers.Dense(2)])
    kc.convert(model, "float32", progress=False)
    assert state() == before


@pytest.mark.parametrize(
    "switch",
    [process_state.without_functions, process_state.without_stderr, process_state.without_warnings],
)
def test_a_second_thread_waits_for_the_switch(switch):
    """The first one leaves while the second is about to enter: the order that left it on."""
    before, inside, order = state(), threading.Event(), []

    def first():
        with switch():
            inside.set()
            order.append(waiting.wait(0.2))

    def second():
        inside.wait()
        with switch():
            waiting.set()
            order.append("second")

    waiting = threading.Event()
    in_threads(first, second)
    assert order == [False, "second"]
    assert state() == before


def work(done):
    """Return the functions of three verbs that change the process, and of a training beside."""
    model, x = network(), np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    compressed = kc.compress(model, quantization=kc.Quantization())
    converted = kc.convert(model, "generic_int8", x, progress=False)
    return [
        lambda: done.append(kc.convert(network(), "generic_int8", x, progress=False)),
        lambda: done.append(kc.convert(model, "generic_int8", x, progress=False)),
        lambda: done.append(kc.calibrate(compressed, x)),
        lambda: done.append(kc.evaluate(converted, x, np.zeros((16, 4)))),
        lambda: done.append(network().fit(x, np.zeros((16, 4)), epochs=2, verbose=0)),
    ]


@pytest.mark.verify("20 rounds of five verbs in threads: 40 s")
def test_verbs_in_threads_leave_the_process_as_it_was():
    rounds = 20
    done = []
    functions = work(done)
    before = state()
    for _ in range(rounds):
        in_threads(*functions)
    assert len(done) == rounds * len(functions)
    assert state() == before


def test_calibration_keeps_no_kernels(monkeypatch):
    """TensorFlow keeps the kernels of each traced function: one call added up to 4 MiB."""
    from tensorflow.python.eager import context

    cleared = []
    monkeypatch.setattr(context.Context, "clear_kernel_cache", lambda self: cleared.append(1))
    compressed = kc.compress(network(), quantization=kc.Quantization())
    kc.calibrate(compressed, np.ones((4, 6), "float32"))
    assert cleared == [1]
