import numpy as np

from keras_compress.pruning.criteria.lamp import Lamp
from keras_compress.pruning.masks import PrunableWeights, compute_masks
from keras_compress.spec import Pruning

WEIGHTS = np.random.default_rng(0).normal(size=(20, 1))


def test_equals_the_formula():
    squares = WEIGHTS[:, 0] ** 2
    expected = [s / squares[squares >= s].sum() for s in squares]
    np.testing.assert_allclose(Lamp()(WEIGHTS), expected)


def test_a_factor_on_a_layer_changes_nothing():
    np.testing.assert_allclose(Lamp()(WEIGHTS), Lamp()(1e-3 * WEIGHTS))


def test_groups_count_by_their_norm():
    groups = np.array([[3.0, 4.0], [5.0, 12.0]])
    np.testing.assert_allclose(Lamp()(groups), [25 / (25 + 169), 1])


def test_zeros_have_no_score():
    np.testing.assert_array_equal(Lamp()(np.zeros((3, 1))), np.zeros(3))


def test_a_small_layer_of_small_weights_survives_a_global_ranking():
    rng = np.random.default_rng(0)
    pruning = Pruning(scope="global", criterion="lamp", floor=0)
    small, large = 0.01 * rng.normal(size=(8, 9)), rng.normal(size=(64, 300))
    first, _ = compute_masks(
        [PrunableWeights(weights, 0, pruning) for weights in (small, large)], 0.9
    )
    assert first.mean() > 0.5
