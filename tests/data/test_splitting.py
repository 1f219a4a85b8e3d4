import numpy as np
import pytest

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.splitting import split, split_data
from keras_compress.errors import InvalidArgumentError

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)


def test_every_sample_is_in_one_part_with_its_target():
    for (x, y), (x_val, y_val) in (
        split(X, Y),
        split_data(zip(X, Y, strict=True), [InputSpec("x", (2,))]),
    ):
        assert (len(y), len(y_val)) == (8, 2)
        assert sorted([*y, *y_val]) == list(range(10))
        np.testing.assert_array_equal(x, X[y])
        np.testing.assert_array_equal(x_val, X[y_val])


@pytest.mark.parametrize(("x", "y"), [(X, None), (X[:1], Y[:1]), (X, Y[:4])])
def test_what_cannot_be_split_is_refused(x, y):
    with pytest.raises(InvalidArgumentError, match="samples"):
        split(x, y)
