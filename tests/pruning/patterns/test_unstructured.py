import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_compress.pruning.patterns.unstructured import Unstructured

SHAPES = hnp.array_shapes(min_dims=2, max_dims=4, max_side=6)
# Few distinct values, so that ties are common.
WEIGHTS = hnp.arrays(np.float32, SHAPES, elements=st.sampled_from([-2, -1, -0.5, 0, 0.5, 1, 3]))
SPARSITY = st.floats(0, 0.999)


@given(WEIGHTS, SPARSITY)
def test_prunes_exactly_the_fraction(weights, sparsity):
    mask = Unstructured().mask(np.abs(weights).ravel(), sparsity, weights.shape, 0)
    assert np.count_nonzero(~mask) == min(round(sparsity * weights.size), weights.size - 1)


@given(WEIGHTS, SPARSITY)
def test_keeps_the_largest(weights, sparsity):
    mask = Unstructured().mask(np.abs(weights).ravel(), sparsity, weights.shape, 0)
    if not mask.all():
        assert np.abs(weights[mask]).min() >= np.abs(weights[~mask]).max()


@given(WEIGHTS, SPARSITY, SPARSITY)
def test_masks_of_rising_sparsity_contain_each_other(weights, first, second):
    low, high = sorted((first, second))
    scores = np.abs(weights).ravel()
    denser = Unstructured().mask(scores, low, weights.shape, 0)
    sparser = Unstructured().mask(scores, high, weights.shape, 0)
    assert not np.any(sparser & ~denser)
