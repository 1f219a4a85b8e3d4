import numpy as np

from keras_compress.pruning.criteria.l1_norm import L1Norm


def test_equals_numpys_norm():
    groups = np.random.default_rng(0).normal(size=(9, 5))
    np.testing.assert_allclose(L1Norm()(groups), np.linalg.norm(groups, ord=1, axis=1))
    np.testing.assert_allclose(L1Norm()(groups[:, :1]), np.abs(groups[:, 0]))
