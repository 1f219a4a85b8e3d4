"""BatchNormalization that trains with TensorFlow's fused kernel instead of separate operations."""

import keras
from keras import ops

# The fused kernel refuses smaller values.
_LEAST_EPSILON = 1e-5


def normalize(norm, inputs, training, mask=None):
    """Call a BatchNormalization, with one fused kernel where that computes the same.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    with the mean and (biased) variance of the batch. Both moving averages are updated as
    `BatchNormalization` updates them. The forward and backward passes read the data once each
    instead of several times.

    Args:
        norm: A built `BatchNormalization`.
        inputs: Tensor. The fused kernel is used only if the last axis holds the channels.
        training: Whether to normalize by the statistics of the batch, a `bool` or a boolean tensor.
        mask: As for `BatchNormalization`.

    Returns:
        Tensor of the same shape as `inputs`.
    """
    if not isinstance(training, bool):
        return _normalize_either(norm, inputs, training, mask)
    if _fuses(norm, inputs, training, mask):
        return _fused(norm, inputs)
    return norm(inputs, training=training, mask=mask)


def _normalize_either(norm, inputs, training, mask):
    """Normalize in the way that a tensor tells; branches return averages and losses to set here."""
    values = [(variable, ops.convert_to_tensor(variable)) for variable in norm.variables]

    def branch(training):
        with keras.StatelessScope(values, collect_losses=True) as scope:
            outputs = normalize(norm, inputs, training, mask)
        loss = sum(scope.losses, ops.zeros((), "float32"))
        return [outputs, loss, *map(scope.get_current_value, norm.non_trainable_variables)]

    outputs, loss, *averages = ops.cond(training, lambda: branch(True), lambda: branch(False))
    if norm.activity_regularizer is not None or type(norm) not in _KERAS_OWN:
        norm.add_loss(loss)
    for variable, value in zip(norm.non_trainable_variables, averages, strict=True):
        variable.assign(value)
    return outputs


@keras.saving.register_keras_serializable(package="keras_compress")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """A `BatchNormalization` that trains with the fused kernel where `normalize` would.

    It has the arguments and weights of its parent class and computes the same.
    """

    @classmethod
    def of(cls, norm, name):
        """Return an unbuilt layer with the configuration of a `BatchNormalization`."""
        return cls.from_config({**norm.get_config(), "name": name})

    def call(self, inputs, training=None, mask=None):
        """See `BatchNormalization.call`."""
        if _fuses(self, inputs, training, mask):
            return _fused(self, inputs)
        return super().call(inputs, training=training, mask=mask)


# Subclasses may compute something else.
_KERAS_OWN = (keras.layers.BatchNormalization, FusedBatchNormalization)


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
    _update_average(norm.moving_mean, mean, norm.momentum)
    biased_variance = variance * _bias_correction(inputs)
    _update_average(norm.moving_variance, biased_variance, norm.momentum)
    return outputs


def _fuses(norm, inputs, training, mask):
    return training and mask is None and _fusible(norm, inputs)


def _fusible(norm, inputs):
    """Tell whether the fused kernel computes the same as the layer."""
    return (
        keras.backend.backend() == "tensorflow"
        and type(norm) in _KERAS_OWN
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


def _bias_correction(inputs):
    """Return (n - 1) / n, which turns the kernel's unbiased variance into the biased one."""
    count = ops.cast(ops.prod(ops.shape(inputs)[:-1]), "float32")
    return ops.maximum(count - 1.0, 1.0) / count


def _update_average(average, value, momentum):
    average.assign(average * momentum + value * (1.0 - momentum))
