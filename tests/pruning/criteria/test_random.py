import numpy as np

from keras_compress.pruning.criteria.random import Random


def test_the_seed_decides():
    groups = np.zeros((100, 2))
    np.testing.assert_array_equal(Random(seed=4)(groups), Random(seed=4)(groups + 1))
    assert np.any(Random(seed=4)(groups) != Random(seed=5)(groups))


def test_a_generator_goes_before_the_seed():
    groups = np.zeros((100, 2))
    scores = Random(seed=4)(groups, rng=np.random.default_rng(9))
    np.testing.assert_array_equal(scores, Random(seed=9)(groups))


def test_draws_are_spread_over_the_unit_interval():
    scores = Random()(np.zeros((10_000, 1)))
    counts, _ = np.histogram(scores, bins=10, range=(0, 1))
    assert counts.min() > 850
    assert counts.max() < 1150
