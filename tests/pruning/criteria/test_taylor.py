import numpy as np
import pytest

from keras_compress.pruning.criteria.taylor import Taylor


@pytest.fixture
def kernels():
    """Weights and gradients of five steps, each (groups, elements)."""
    return np.random.default_rng(0).normal(size=(2, 5, 9, 4))


def test_equals_the_formula(kernels):
    weights, gradients = kernels
    sums = sum(map(Taylor().gradient_statistic, weights, gradients))
    expected = np.einsum("sge,sge->g", weights**2, gradients**2)
    np.testing.assert_allclose(Taylor()(weights[-1], gradients=sums), expected)


def test_equals_the_squared_change_of_a_linear_loss(kernels):
    (weights, *_), (slope, *_) = kernels
    loss = (weights * slope).sum()
    changes = np.empty_like(weights)
    for index in np.ndindex(weights.shape):
        without = weights.copy()
        without[index] = 0
        changes[index] = (loss - (without * slope).sum()) ** 2
    scores = Taylor()(weights, gradients=Taylor().gradient_statistic(weights, slope))
    np.testing.assert_allclose(scores, changes.sum(axis=1))
