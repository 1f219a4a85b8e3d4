import numpy as np

from keras_compress.pruning.criteria.wanda import Wanda


def test_equals_the_formula():
    rng = np.random.default_rng(0)
    weights, inputs = rng.normal(size=(6, 4)), rng.normal(size=(32, 4))
    norms = np.broadcast_to(np.linalg.norm(inputs, axis=0), weights.shape)
    single = Wanda()(weights.reshape(-1, 1), activations=norms.reshape(-1, 1))
    expected = np.abs(weights) * np.linalg.norm(inputs, axis=0)
    np.testing.assert_allclose(single.reshape(weights.shape), expected)
    np.testing.assert_allclose(Wanda()(weights, activations=norms), expected.mean(axis=1))


def test_a_large_input_saves_a_small_weight():
    scores = Wanda()(np.array([[0.1], [1.0]]), activations=np.array([[20.0], [1.0]]))
    assert scores[0] > scores[1]
