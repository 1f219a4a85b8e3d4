import numpy as np
import pytest

from keras_compress.pruning.criteria.snip import Snip


@pytest.fixture
def kernels():
    """Weights and gradients of five steps, each (groups, elements)."""
    return np.random.default_rng(0).normal(size=(2, 5, 9, 4))


def test_equals_the_formula(kernels):
    weights, gradients = kernels
    sums = sum(map(Snip().gradient_statistic, weights, gradients))
    expected = np.abs(weights[-1] * gradients.sum(axis=0)).sum(axis=1)
    np.testing.assert_allclose(Snip()(weights[-1], gradients=sums), expected)
