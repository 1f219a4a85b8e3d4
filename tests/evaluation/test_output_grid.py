import numpy as np
import pytest

from keras_compress.evaluation.output_grid import (
    column_errors,
    ends,
    has_prescribed_grid,
    magnitudes,
    saturated,
    unlike_columns,
    unlike_sentence,
)
from keras_compress.evaluation.runtimes.base import TensorDetails


def _details(dtype="int8", scale=0.5, zero_point=0):
    return TensorDetails("y", (1, 2), (1, 2), np.dtype(dtype), scale, zero_point)


def test_ends_are_those_of_the_integers():
    assert ends(_details(zero_point=-128)) == (0.0, 127.5)
    assert ends(_details("uint8", 2.0, 128)) == (-256.0, 254.0)


def test_a_value_is_beyond_when_it_is_off_by_more_than_a_step():
    values = np.array([63.5, 64.0, 64.1, -64.0, -64.6, 0.0, 1.0, 2.0])
    assert saturated(values, _details()) == 2 / 8
    assert saturated(np.array([1.0]), _details(scale=2**-8, zero_point=-128)) == 0.0
    assert saturated(values, _details("float32", 0.0)) is None


def test_grids_that_operators_prescribe():
    assert has_prescribed_grid(_details(scale=1 / 256)) and not has_prescribed_grid(_details())


def test_the_error_of_columns_is_that_of_each_alone():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(50, 3)) * [1.0, 100.0, 0.01]
    after = before + rng.normal(size=(50, 3)) * 0.1
    columns = column_errors(before, after)
    for position, column in enumerate(columns):
        difference = before[:, position] - after[:, position]
        assert column.rmse == pytest.approx(np.sqrt(np.mean(difference**2)))
        assert column.magnitude == np.abs(before[:, position]).max()
    assert columns[2].sqnr_db < 0 < columns[1].sqnr_db
    maps = column_errors(before.reshape(5, 10, 3), after.reshape(5, 10, 3))
    assert maps == columns


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 33)])
def test_one_column_or_many_are_not_compared(shape):
    values = np.ones(shape)
    assert column_errors(values, values) == () and magnitudes(values) is None


def test_columns_that_differ_by_more_than_thirty_times():
    assert unlike_columns(np.array([2.0, 59.0])) is None
    assert unlike_columns(np.array([2.0, 61.0, 0.0])) == (1, 0)
    assert unlike_columns(np.array([0.0, 61.0])) is None
    sentence = unlike_sentence("of input 'x'", np.array([2.0, 640.0]), 1, 0)
    assert "Column 1 of input 'x' is 320 times as large as column 0" in sentence
