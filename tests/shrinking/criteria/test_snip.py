"""snip.py against finite differences of the loss for each weight."""

import numpy as np

from keras_compress.shrinking.criteria.snip import Snip


def test_score_sums_the_sizes_of_weight_times_gradient(relu_case):
    case = relu_case
    scores = case.groups_of(Snip()(case.statistics()))
    expected = [
        sum(abs(case.arrays()[n][i] * case.derivative(case.loss, (n, i))) for n, i in members)
        for members in map(case.members, range(5))
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-6)
