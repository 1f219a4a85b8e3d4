import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.patterns.base import Pattern
from keras_compress.pruning.patterns.n_of_m import NOfM
from keras_compress.support import plugins

PAIRS = st.integers(2, 9).flatmap(lambda m: st.tuples(st.integers(1, m - 1), st.just(m)))
VALUES = st.sampled_from([-2, -1, -0.5, 0, 0.5, 1, 3])


def mask(pattern, weights, sparsity=0.9):
    return pattern.mask(np.abs(weights).ravel(), sparsity, weights.shape, 0)


@given(PAIRS, st.data())
def test_each_neighbourhood_keeps_its_n_largest(pair, data):
    n, m = pair
    shape = (data.draw(st.integers(1, 4)), m * data.draw(st.integers(1, 4)))
    weights = data.draw(hnp.arrays(np.float32, shape, elements=VALUES))
    blocks = mask(NOfM(n, m), weights).reshape(-1, m)
    assert set(blocks.sum(axis=1)) == {n}
    for kept, values in zip(blocks, np.abs(weights).reshape(-1, m), strict=True):
        assert values[kept].min() >= values[~kept].max()


@given(PAIRS, st.data())
def test_no_aligned_neighbourhood_keeps_more_than_n_of_a_ragged_axis(pair, data):
    n, m = pair
    width = m + data.draw(st.integers(0, 2 * m))
    weights = data.draw(hnp.arrays(np.float32, (3, width), elements=VALUES))
    kept = mask(NOfM(n, m), weights)
    for start in range(0, width, m):
        assert np.all(kept[:, start : start + m].sum(axis=1) == min(n, width - start))


def test_neighbours_are_inputs_of_a_convolution():
    weights = np.random.default_rng(0).normal(size=(5, 3, 3, 8)).astype(np.float32)
    kept = mask(NOfM(2, 4), weights)
    assert np.all(kept.reshape(5, 3, 3, 2, 4).sum(axis=-1) == 2)


def test_an_axis_shorter_than_m_stays_dense():
    assert mask(NOfM(2, 4), np.ones((16, 3, 3, 3), np.float32)).all()


@pytest.mark.parametrize(
    "sparsity, kept", [(0.0, 4), (0.01, 3), (0.25, 3), (0.26, 2), (0.5, 2), (0.9, 2)]
)
def test_a_rising_schedule_goes_in_whole_steps(sparsity, kept):
    weights = np.random.default_rng(0).normal(size=(4, 8))
    assert set(mask(NOfM(2, 4), weights, sparsity).reshape(-1, 4).sum(axis=1)) == {kept}


@pytest.mark.parametrize("name, expected", [("2:4", NOfM(2, 4)), ("1:16", NOfM(1, 16))])
def test_is_found_by_its_ratio(name, expected):
    assert plugins.resolve("keras_compress.pruning.patterns", name, Pattern) == expected


@pytest.mark.parametrize("name", ["4:4", "0:4", "4:2"])
def test_refuses_a_ratio_without_meaning(name):
    with pytest.raises(InvalidArgumentError, match=f"1 <= n < m.*Received: {name}"):
        plugins.resolve("keras_compress.pruning.patterns", name, Pattern)


def test_refuses_weights_that_are_no_numbers():
    with pytest.raises(InvalidArgumentError, match="Received: 1 NaN in 8 scores"):
        mask(NOfM(2, 4), np.array([[1, 2, 3, np.nan, 5, 6, 7, 8]]))


@pytest.mark.parametrize("sparsity", [0.0, 0.26, 0.5, 0.8])
def test_accepts_a_schedule_that_reaches_the_pattern(sparsity):
    NOfM(2, 4).check_target(sparsity)


def test_refuses_a_schedule_that_ends_short_of_the_pattern():
    with pytest.raises(InvalidArgumentError, match="stops at 3:4.*Received: .* ends at 0.2"):
        NOfM(2, 4).check_target(0.2)
