"""BatchNormalization in training by TensorFlow's fused kernel, where Keras composes it of parts."""

import keras
from keras import ops

# The kernel refuses smaller ones.
_LEAST_EPSILON = 1e-5


def normalize(norm, inputs, training, mask=None):
    """Call a BatchNormalization, by one fused kernel where that computes the same.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    with mean and (biased) variance of the batch, and the moving averages of both updated as
    `BatchNormalization` does. Forward and backward take one pass each instead of several.

    Args:
        norm: A built `BatchNormalization`.
        inputs: Tensor whose last axis holds the channels, where the kernel is to be used.
        training: Whether the batch's own statistics are used.
        mask: As for `BatchNormalization`.

    Returns:
        Tensor of the shape of `inputs`.
    """
    if _fuses(norm, inputs, training, mask):
        return _fused(norm, inputs)
    return norm(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable(package="keras_compress")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """A `BatchNormalization` that trains by the fused kernel where `normalize` would.

    Takes the arguments of its parent, has its weights and computes the same.
    """

    @classmethod
    def of(cls, norm, name):
        """Return an unbuilt layer of a `BatchNormalization`'s configuration."""
        return cls.from_config({**norm.get_config(), "name": name})

    def call(self, inputs, training=None, mask=None):
        """See `BatchNormalization.call`."""
        if _fuses(self, inputs, training, mask):
            return _fused(self, inputs)
        return super().call(inputs, training=training, mask=mask)


def _fused(norm, inputs):
    import tensorflow as tf

    channels = inputs.shape[-1]
    gamma = norm.gamma if norm.scale else ops.ones((channels,))
    beta = norm.beta if norm.center else ops.zeros((channels,))
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=ops.convert_to_tensor(gamma),
        offset=ops.convert_to_tensor(beta),
        mean=tf.zeros((0,)),
        variance=tf.zeros((0,)),
        epsilon=norm.epsilon,
        is_training=True,
    )
    _follow(norm.moving_mean, mean, norm.momentum)
    _follow(norm.moving_variance, variance * _bias(inputs), norm.momentum)
    return outputs


def _fuses(norm, inputs, training, mask):
    return training and mask is None and _fusible(norm, inputs)


def _fusible(norm, inputs):
    """Tell whether the kernel computes what the layer would."""
    return (
        keras.backend.backend() == "tensorflow"
        and type(norm) in (keras.layers.BatchNormalization, FusedBatchNormalization)
        and norm.trainable
        and norm.axis in (-1, 3)
        and len(inputs.shape) == 4
        and inputs.shape[-1] is not None
        and inputs.dtype == norm.compute_dtype == norm.variable_dtype == "float32"
        and norm.epsilon >= _LEAST_EPSILON
        and not norm.synchronized
        and not getattr(norm, "renorm", False)
        and norm.activity_regularizer is None
    )


def _bias(inputs):
    """Return what makes of the kernel's variance, whose divisor is n - 1, that of a divisor n."""
    count = ops.cast(ops.prod(ops.shape(inputs)[:-1]), "float32")
    return ops.maximum(count - 1.0, 1.0) / count


def _follow(average, value, momentum):
    average.assign(average * momentum + value * (1.0 - momentum))
