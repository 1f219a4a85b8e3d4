"""hessian_trace.py against second differences of the loss."""

import numpy as np

from keras_compress.shrinking.criteria.hessian_trace import HessianTrace


def test_score_is_half_the_mean_curvature_times_the_squared_weights(linear_case):
    case = linear_case
    expected = []
    for unit in range(5):
        kernels = [place for place in case.members(unit) if place[0] != 1]
        curvature = np.mean([case.second_derivative(place) for place in kernels])
        squares = sum(case.arrays()[n][i] ** 2 for n, i in kernels)
        expected.append(max(curvature, 0) / 2 * squares)
    scores = case.groups_of(HessianTrace(probes=150)(case.statistics()))
    np.testing.assert_allclose(scores, expected, rtol=0.25)
