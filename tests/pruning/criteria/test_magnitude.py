import numpy as np

from keras_compress.pruning.criteria.magnitude import Magnitude


def test_is_the_mean_absolute_weight():
    groups = np.array([[1.0, -3.0, 2.0], [0.0, 0.3, 0.0]])
    np.testing.assert_allclose(Magnitude()(groups), [2.0, 0.1])


def test_does_not_grow_with_the_group():
    assert Magnitude()(np.full((1, 3), 0.5)) == Magnitude()(np.full((1, 300), 0.5))
