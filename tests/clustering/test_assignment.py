import numpy as np
import tensorflow as tf

from keras_compress.clustering.assignment import nearest, share


def draw():
    random = np.random.default_rng(0)
    weights = random.normal(size=(3, 40)).astype(np.float32)
    return weights, random.normal(size=(3, 5)).astype(np.float32)


def test_nearest_is_the_nearest():
    weights, codebook = draw()
    distances = np.abs(weights[:, :, None] - codebook[:, None])
    np.testing.assert_array_equal(nearest(weights, codebook), distances.argmin(-1))


def test_other_backends_find_the_same(monkeypatch):
    weights, codebook = draw()
    expected = nearest(weights, codebook)
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    np.testing.assert_array_equal(nearest(weights, codebook), expected)


def test_gradients_pass_to_weights_and_in_the_mean_to_centroids():
    weights, codebook = map(tf.constant, draw())
    places = nearest(weights, codebook)
    upstream = np.random.default_rng(1).normal(size=weights.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch([weights, codebook])
        shared = share(weights, codebook, places)
        loss = tf.reduce_sum(shared * upstream)
    np.testing.assert_array_equal(shared, np.take_along_axis(codebook.numpy(), places.numpy(), -1))
    to_weights, to_codebook = tape.gradient(loss, [weights, codebook])
    np.testing.assert_allclose(to_weights, upstream)
    for group in range(3):
        for k in range(5):
            members = upstream[group][places.numpy()[group] == k]
            mean = members.mean() if members.size else 0.0
            np.testing.assert_allclose(tf.convert_to_tensor(to_codebook)[group, k], mean, atol=1e-6)
