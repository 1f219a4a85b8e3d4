"""Replace weights by the nearest of a few shared values, with gradients for both."""

import keras
from keras import ops

from keras_compress.support.types import Tensor


def nearest(weights: Tensor, codebook: Tensor) -> Tensor:
    """Return the index of the centroid nearest to each weight.

    Args:
        weights: Float tensor (groups, n).
        codebook: Float tensor (groups, clusters): the centroids of each group, in any order.

    Returns:
        Int32 tensor (groups, n) of indices in 0 … clusters - 1.

    Example:
        >>> nearest(np.array([[0.1, 0.9, -3.0]]), np.array([[1.0, 0.0]])).numpy()
        array([[1, 0, 1]], dtype=int32)
    """
    order = ops.argsort(codebook, axis=-1)
    centroids = ops.take_along_axis(codebook, order, axis=-1)
    midpoints = (centroids[:, 1:] + centroids[:, :-1]) / 2
    ranks = _count_below(midpoints, weights)
    return ops.cast(ops.take_along_axis(order, ranks, axis=-1), "int32")


def _count_below(midpoints, weights):
    """Return how many of the sorted midpoints lie below each weight."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.searchsorted(midpoints, ops.convert_to_tensor(weights))
    is_above = ops.expand_dims(weights, -1) > ops.expand_dims(midpoints, 1)
    return ops.sum(ops.cast(is_above, "int32"), axis=-1)


def share(weights: Tensor, codebook: Tensor, places: Tensor) -> Tensor:
    """Replace weights by their centroids, with a straight-through gradient.

        y_i = c[k_i],   dL/dw_i = dL/dy_i,   dL/dc_k = mean of dL/dy_i over the weights of k

    Han et al. sum the gradients of a cluster. The mean moves a centroid as far as its weights would
    move on average, so the learning rate of the weights suits the centroids too.

    Args:
        weights: Float tensor (groups, n).
        codebook: Float tensor (groups, clusters).
        places: Int32 tensor (groups, n), the index of each weight's centroid.

    Returns:
        Float tensor (groups, n) of values from the codebook.

    Source: Han et al. 2016, "Deep Compression", section 3.3; Bengio et al. 2013 for the
    straight-through gradient.
    """
    groups, clusters = codebook.shape
    flat_places = places + clusters * ops.reshape(ops.arange(groups, dtype="int32"), (groups, 1))
    members = ops.segment_sum(
        ops.ones_like(ops.reshape(weights, (-1,))),
        ops.reshape(flat_places, (-1,)),
        groups * clusters,
    )
    centroids = ops.reshape(codebook, (-1,))
    fixed = ops.stop_gradient(centroids)
    centroids = fixed + (centroids - fixed) / ops.maximum(members, 1.0)
    return ops.take(centroids, flat_places) + (weights - ops.stop_gradient(weights))
