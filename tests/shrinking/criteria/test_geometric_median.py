"""geometric_median.py against sums of pairwise distances."""

import numpy as np

from keras_compress.shrinking.criteria.geometric_median import GeometricMedian


def test_score_is_the_sum_of_distances_between_filters(linear_case):
    filters = np.asarray(linear_case.hidden.kernel).T
    expected = [sum(np.linalg.norm(a - b) for b in filters) for a in filters]
    scores = linear_case.groups_of(GeometricMedian()(linear_case.statistics()))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
