"""The grids inside an integer LSTM."""

import math

import numpy as np
import pytest
from keras import ops

from keras_compress.quantization import lstm_rounding


@pytest.mark.parametrize("largest", [0.0, 1e-6, 0.5, 1.0, 1.01, 2.0, 3.0, 33.0, 64.0, 1e4])
def test_the_limit_of_a_tensor_is_that_of_a_number(largest):
    limit = lstm_rounding.cell_limit(largest)
    assert float(lstm_rounding.cell_limit_of(ops.convert_to_tensor(largest))) == limit
    assert math.log2(limit).is_integer() and 1 <= limit <= 64
    assert limit >= min(largest, 64)


def test_products_and_activations_saturate_as_16_bits_do():
    values = ops.convert_to_tensor(np.float32([-9, -1, 0.3, 9]))
    there = ops.convert_to_numpy(lstm_rounding.rounded_product(values))
    np.testing.assert_array_equal(there, [-8 + 1 / 4096, -1, 1229 / 4096, 8 - 1 / 4096])
    there = ops.convert_to_numpy(lstm_rounding.rounded_activation(values))
    np.testing.assert_array_equal(
        there, [-1 + 1 / 32768, -1 + 1 / 32768, 9830 / 32768, 1 - 1 / 32768]
    )


def test_cells_end_at_their_limit_on_both_sides():
    values = ops.convert_to_tensor(np.float32([-3, 0.00005, 3]))
    end = lstm_rounding.cell_end(ops.convert_to_tensor(2.0))
    there = ops.convert_to_numpy(lstm_rounding.rounded_to_16_bits(values, end))
    step = 2 / 2**15
    np.testing.assert_allclose(there, [-2 + step, step, 2 - step], rtol=0, atol=1e-7)
