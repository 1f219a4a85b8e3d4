"""Training data in every form that `fit` takes, made no oftener than it must be."""

import keras
import numpy as np
import pytest

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.training_data import TrainingData, as_fit_takes
from keras_compress.errors import InvalidArgumentError

X, Y = np.arange(20, dtype="float32").reshape(10, 2), np.arange(10)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


def tensors():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)


@pytest.mark.parametrize("form", [lambda: (X, Y), lambda: Batches(), tensors])
def test_every_form_has_the_same_steps_and_samples(form):
    for train in (form, form()):
        data = TrainingData(train, batch_size=4, kept=9)
        assert data.steps == 3
        for found, expected in zip(data.samples(7), (X[:7], Y[:7]), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_function_is_called_once_for_samples_and_once_for_each_training():
    made = []

    def train():
        made.append(Batches())
        return made[-1]

    data = TrainingData(train, batch_size=4, kept=9)
    assert len(data.samples(2)[0]) == 2 and len(data.samples(9)[0]) == 9
    assert len(made) == 1
    assert data.fit_arguments()["x"] is made[1] and data.fit_arguments()["x"] is made[2]


def endless():
    while True:
        yield X, Y


@pytest.mark.parametrize("train", [endless(), tensors().repeat(), "a path", (X[:0], Y[:0])])
def test_data_that_cannot_be_counted_is_refused(train):
    with pytest.raises(InvalidArgumentError, match="train must"):
        TrainingData(train, batch_size=4, kept=9)


def test_paths_become_arrays_and_need_targets(tmp_path):
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    np.save(tmp_path / "data.npy", X)
    inputs = [InputSpec("x", (2,))]
    x, y = as_fit_takes(tmp_path / "data.npz", inputs)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert as_fit_takes(Batches, inputs) is Batches
    with pytest.raises(InvalidArgumentError, match="needs targets"):
        as_fit_takes(str(tmp_path / "data.npy"), inputs)
