"""XLA compiles a step if requested, and always on TPUs."""

import keras
import pytest
import tensorflow as tf

from keras_compress.callbacks.xla import compiled_by_xla


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
