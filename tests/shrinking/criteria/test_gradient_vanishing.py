"""gradient_vanishing.py: dead units score zero, however large their weights are."""

import numpy as np

from keras_compress.shrinking.criteria.gradient_vanishing import GradientVanishing


def test_score_is_the_mean_absolute_gradient(relu_case):
    case = relu_case
    scores = case.groups_of(GradientVanishing()(case.statistics()))
    expected = [
        np.mean([abs(case.derivative(case.loss, place)) for place in case.members(unit)])
        for unit in range(5)
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-6)


def test_a_dead_unit_scores_zero(relu_case):
    bias = np.asarray(relu_case.hidden.bias).copy()
    bias[2] = -1000.0
    relu_case.hidden.bias.assign(bias)
    scores = relu_case.groups_of(GradientVanishing()(relu_case.statistics()))
    assert np.flatnonzero(scores == 0).tolist() == [2]
