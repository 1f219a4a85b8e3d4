import numpy as np
import pytest

from keras_compress.pruning.criteria.movement import Movement


@pytest.fixture
def kernels():
    """Weights and gradients of five steps, each (groups, elements)."""
    return np.random.default_rng(0).normal(size=(2, 5, 9, 4))


def test_equals_the_formula(kernels):
    weights, gradients = kernels
    sums = sum(map(Movement().gradient_statistic, weights, gradients))
    expected = -np.einsum("sge,sge->g", weights, gradients)
    np.testing.assert_allclose(Movement()(weights[-1], gradients=sums), expected)


def test_a_weight_that_moves_towards_zero_goes_before_one_that_moves_away():
    weights = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    gradients = np.array([[1.0], [-1.0], [-1.0], [1.0]])  # training subtracts them
    scores = Movement()(weights, gradients=Movement().gradient_statistic(weights, gradients))
    assert max(scores[:2]) < min(scores[2:])


def test_zeros_go_first():
    scores = Movement()(np.array([[0.0], [1.0]]), gradients=np.array([[0.0], [-5.0]]))
    assert scores[0] < scores[1]
