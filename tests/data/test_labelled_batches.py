import itertools

import numpy as np
import pytest

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.labelled_batches import Batches
from keras_compress.errors import InvalidArgumentError

SPEC = [InputSpec("x", (3,))]


def test_a_generator_can_be_gone_through_again_and_is_limited():
    endless = ((np.full((2, 3), k), np.arange(2)) for k in itertools.count())
    batches = Batches(endless, SPEC, limit=4)
    assert len(batches) == 4
    for _ in range(2):
        assert [x[0, 0] for x, _ in batches] == [0, 1, 2, 3]


def test_arrays_are_used_whole():
    assert len(Batches((np.zeros((10, 3)), np.zeros(10)), SPEC, batch_size=1, limit=4)) == 10


def test_no_samples_are_refused():
    with pytest.raises(InvalidArgumentError, match="at least one sample"):
        Batches([], SPEC)
