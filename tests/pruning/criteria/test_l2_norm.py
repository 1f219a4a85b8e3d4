import numpy as np

from keras_compress.pruning.criteria.l1_norm import L1Norm
from keras_compress.pruning.criteria.l2_norm import L2Norm


def test_equals_numpys_norm():
    groups = np.random.default_rng(0).normal(size=(9, 5))
    np.testing.assert_allclose(L2Norm()(groups), np.linalg.norm(groups, axis=1))
    np.testing.assert_allclose(L2Norm()(groups[:, :1]), np.abs(groups[:, 0]))


def test_one_large_weight_saves_its_group():
    groups = np.array([[1.0, 0.0, 0.0, 0.0], [0.3, 0.3, 0.3, 0.3]])
    assert np.argmax(L2Norm()(groups)) == 0
    assert np.argmax(L1Norm()(groups)) == 1
