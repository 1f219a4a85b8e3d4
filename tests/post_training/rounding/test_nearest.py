import numpy as np

from keras_compress.post_training.rounding.base import RoundingProblem
from keras_compress.post_training.rounding.nearest import Nearest


def test_is_the_nearest_integer_inside_the_grid():
    weights = np.array([0.24, 0.26, -0.9, 9.0], "float32")
    problem = RoundingProblem(weights, np.float32(0.5), 3, None, None, None, None, None)
    np.testing.assert_array_equal(Nearest().integers(problem), [0, 1, -2, 3])
