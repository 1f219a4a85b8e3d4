import numpy as np
import pytest

from keras_compress.data.structure import is_array, is_instance, leaves, map_leaves, to_numpy
from keras_compress.errors import InvalidArgumentError


def test_what_is_one_array_and_what_holds_several():
    assert len(leaves([1, 2, 3])) == len(leaves([np.int64(1), np.int64(2)])) == 1
    assert len(leaves((np.zeros(2), 1))) == len(leaves([np.zeros(2), np.zeros(3)])) == 2
    assert leaves(None) == [] and map_leaves(len, None) is None
    assert map_leaves(lambda a, b: a + b, {"a": 1}, {"a": 2}) == {"a": 3}


def test_numbers_that_are_no_array_are_refused_in_words():
    with pytest.raises(InvalidArgumentError, match="parts differ in shape"):
        to_numpy([[1.0], [1.0, 2.0]])


def test_bfloat16_of_torch_becomes_float32():
    class Tensor:
        __module__ = "torch"
        dtype = "torch.bfloat16"

        def detach(self):
            return self

        cpu = detach

        def float(self):
            self.dtype = "torch.float32"
            return self

        def numpy(self):
            assert self.dtype == "torch.float32", "numpy has no bfloat16"
            return np.ones(3, np.float32)

    assert is_array(Tensor()) and is_instance(Tensor(), "torch", "Tensor")
    assert to_numpy(Tensor()).dtype == np.float32
