"""XLA compiles a step if requested, and always on TPUs."""

import keras
import pytest
import tensorflow as tf

import keras_compress as kc
from keras_compress.callbacks import xla
from keras_compress.callbacks.xla import compiled_by_xla, runs_on_cpu


def compiled(**options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse", **options)
    return model


@pytest.mark.parametrize("asked", [True, False])
def test_it_is_what_compile_was_told(asked):
    assert compiled_by_xla(compiled(jit_compile=asked)) is asked


def test_what_keras_decides_itself_is_asked_of_the_model():
    model = compiled()
    assert compiled_by_xla(model) == model.jit_compile


def test_tpus_know_nothing_else(monkeypatch):
    class Pods(tf.distribute.TPUStrategy):
        def __init__(self):
            """There is no TPU here."""

    monkeypatch.setattr(tf.distribute, "get_strategy", Pods)
    assert compiled_by_xla(compiled(jit_compile=False))


@pytest.mark.parametrize(("asked", "gpus", "said"), [(True, 0, 1), (False, 0, 0), (True, 1, 0)])
def test_phases_that_xla_compiles_anew_are_said_once(asked, gpus, said, monkeypatch):
    messages = []
    monkeypatch.setattr(xla.logging, "log_first_n", lambda level, text, n: messages.append(n))
    model = kc.compress(compiled(), quantization="generic_int8")
    model.compile("sgd", "mse", jit_compile=asked, run_eagerly=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU"] * gpus)
    callback = kc.QuantizationCallback()
    callback.set_model(model)
    callback.on_train_begin()
    assert messages == [1] * said


@pytest.mark.parametrize(
    ("asked", "gpus", "answer"), [(False, 0, True), (True, 0, False), (False, 1, False)]
)
def test_a_step_runs_on_the_cpu_if_nothing_else_does(asked, gpus, answer, monkeypatch):
    model = compiled(jit_compile=asked)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    assert runs_on_cpu(model) is answer
