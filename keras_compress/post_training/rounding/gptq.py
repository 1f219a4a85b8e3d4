"""GPTQ: round weights one after another; later weights compensate for the error."""

import dataclasses

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.post_training.rounding.base import Rounding, RoundingProblem

_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Gptq(Rounding):
    """Greedily minimizes ||W X - Q X||**2 over the integers, input by input.

        H = X X^T + damping * mean(diag(X X^T)) * I,  U = the upper Cholesky factor of H^-1
        for k:  e = (w_k - q_k) / U_kk,  w_j <- w_j - e * U_kj for all j > k

    X are the columns of the layer's inputs: the inputs themselves for Dense, the patches under the
    kernel for convolutions, the patches of each channel for depthwise convolutions. If a bias will
    correct the mean error, the mean of X is subtracted. Inputs of large power are rounded first.
    Layers that are not a matrix product are rounded to nearest.

    Source: Frantar et al. 2023, "GPTQ: accurate post-training quantization for generative
    pre-trained transformers", section 3; the update is that of Optimal Brain Surgeon (Hassibi
    and Stork 1992).

    Args:
        damping: Share of the mean power that is added to the diagonal. Default 0.01.

    Raises:
        InvalidArgumentError: The damping is not above 0.
    """

    damping: float = 0.01

    def __post_init__(self):
        if not self.damping > 0:
            raise InvalidArgumentError(f"damping must be above 0. Received: {self.damping}")

    def integers(self, problem: RoundingProblem) -> np.ndarray:
        """See `Rounding.integers`."""
        form = problem.matrix
        if form is None:
            return problem.nearest
        shape = problem.weights.shape
        weights = form.to_matrix(problem.weights).astype(np.float64)
        scale = form.to_matrix(np.broadcast_to(problem.scale, shape)).astype(np.float64)
        centred = problem.shift_shape is not None
        power = input_power(form, problem.layer, problem.inputs, centred)
        integers = round_greedily(weights, scale, problem.limit, power, self.damping)
        return form.from_matrix(integers, shape)


def input_power(form, layer, inputs, centred=False):
    """Return the mean of X X^T over the columns of a layer's inputs.

    Args:
        form: The layer's `MatrixForm`.
        layer: The built layer.
        inputs: Array (n_samples, ...).
        centred: Whether to subtract the mean of each input first.

    Returns:
        Float64 array (groups, inputs, inputs).
    """
    import tensorflow as tf

    groups, _, size = form.sizes
    probe = form.probe(layer, inputs.shape)
    total, mean, count = np.zeros((groups, size, size)), np.zeros((groups, size, 1)), 0
    for start in range(0, len(inputs), _BATCH):
        columns = tf.reshape(probe(inputs[start : start + _BATCH]), (-1, groups, size))
        # In double precision, because subtracting the mean leaves little if inputs hardly vary.
        columns = tf.cast(tf.transpose(columns, (1, 2, 0)), tf.float64)
        total += np.asarray(tf.matmul(columns, columns, transpose_b=True))
        mean += np.asarray(tf.reduce_sum(columns, axis=2, keepdims=True))
        count += columns.shape[2]
    total, mean = total / count, mean / count
    return total - mean @ mean.transpose(0, 2, 1) if centred else total


def round_greedily(weights, scale, limit, power, damping):
    """Round the columns of matrices one after another; see `Gptq`.

    Args:
        weights: Array (groups, outputs, inputs). Zeros stay zero.
        scale: Array of the same shape.
        limit: Largest integer.
        power: Array (groups, inputs, inputs), symmetric.
        damping: Share of the mean power added to the diagonal.

    Returns:
        Integers as a float array (groups, outputs, inputs).
    """
    kept, remaining = weights != 0, weights.copy()
    integers = np.zeros_like(weights)
    order = np.argsort(-np.diagonal(power, axis1=1, axis2=2), axis=1, kind="stable")
    factor = _inverse_factor(power, order, damping)
    rows = np.arange(len(weights))
    for step in range(weights.shape[2]):
        now = order[:, step]
        value, grid = remaining[rows, :, now], scale[rows, :, now]
        rounded = np.clip(np.round(value / grid), -limit, limit) * kept[rows, :, now]
        integers[rows, :, now] = rounded
        error = (value - rounded * grid) / factor[:, step, step, None]
        for group in rows:
            later = order[group, step + 1 :]
            change = np.outer(error[group], factor[group, step, step + 1 :])
            remaining[group][:, later] -= change
    return integers


def _inverse_factor(power, order, damping):
    """Return the upper Cholesky factor of the inverse, with inputs in their rounding order."""
    size = power.shape[-1]
    diagonal = np.diagonal(power, axis1=1, axis2=2)
    mean = diagonal.mean(axis=1)
    mean = np.where(mean > 0, mean, 1.0)
    damped = power + damping * mean[:, None, None] * np.eye(size)
    arranged = np.take_along_axis(damped, order[:, :, None], axis=1)
    arranged = np.take_along_axis(arranged, order[:, None, :], axis=2)
    return np.linalg.cholesky(np.linalg.inv(arranged)).transpose(0, 2, 1)
