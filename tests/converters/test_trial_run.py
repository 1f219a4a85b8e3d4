"""A file that does not run is not handed back: `kc.convert` runs each once."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.converters.engines.tensorflow import Tensorflow
from keras_compress.evaluation import isolation
from keras_compress.tflite import editor, flatbuffer
from keras_compress.tflite._reader import schema

X = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")


class Spoilt(Tensorflow):
    """Returns a file whose RESHAPE asks for one value more than there are."""

    def convert(self, *args):
        model = editor.unpack(super().convert(*args))
        (graph,) = model.subgraphs
        code = schema().BuiltinOperator.RESHAPE
        for operator in graph.operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode == code:
                target = model.buffers[graph.tensors[operator.inputs[1]].buffer]
                sizes = np.array(target.data, np.uint8).view(np.int32) + [0, 1]
                target.data = sizes.astype(np.int32).view(np.uint8)
        return editor.pack(model)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = layers.Flatten()(layers.Conv2D(3, 3, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.parametrize("profile", ["generic_int8", "float32"])
def test_a_file_that_cannot_be_prepared_is_refused_in_a_sentence(network, profile):
    with pytest.raises(kc.ConversionError, match="does not run, so it is not returned") as error:
        kc.convert(network, profile, X, engine=Spoilt())
    message = str(error.value)
    assert "'litert'" in message and "failed to prepare" in message, message
    assert len(message) < 600 and "\n" not in message


def test_it_runs_on_a_sample_or_on_zeros_with_the_files_batch(network, monkeypatch):
    jobs = []

    def call(self, what, model, arrays, **options):
        jobs.append((what, flatbuffer.read(model.content).inputs[0].shape, arrays[0]))
        return {}, [np.zeros((len(arrays[0]), 2), "float32")]

    monkeypatch.setattr(isolation.Isolation, "call", call)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the two samples
        kc.convert(network, representative_dataset=X[:2], batch_size=3)
    kc.convert(network, "float32")
    (_, shape, sample), (_, _, zeros) = jobs
    assert shape == (3, 6, 6, 2)
    np.testing.assert_array_equal(sample, X[[0, 1, 0]])
    assert zeros.shape == (1, 6, 6, 2) and not zeros.any()
