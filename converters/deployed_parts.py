"""What stands in the deployed model for the parts of attentions and layer normalizations."""

import math

import keras
import numpy as np

from keras_compress.parts.attention_layers import AttentionMask
from keras_compress.parts.normalization_layers import NormalizationAffine, NormalizationStep


def replacement(call, copies, ranges):
    """Return what computes a part in the deployed model.

    Args:
        call: A `Call` of the compressed model.
        copies: The `LayerCopies` of the deployed model.
        ranges: Whether learned ranges go into its graph.

    Returns:
        A function of the call's tensors; `None` for a layer that is deployed as it is.
    """
    part = call.operation
    if isinstance(part, NormalizationAffine) and part.weights and None not in call.output.shape[1:]:
        depthwise = copies.custom(part, lambda name: _depthwise(part, name))
        return lambda inputs: _on_map(depthwise, inputs)
    if isinstance(part, NormalizationStep) and part.step == "inverse_root":
        # No guard from a variance of zero is needed: the operator answers with its largest value.
        return copies.custom(part, lambda name: _changed(part, name, epsilon=0.0))
    if isinstance(part, AttentionMask) and ranges:
        return copies.custom(part, lambda name: _changed(part, name, score=_lower_end(call)))
    return None


def _depthwise(affine, name):
    """Gamma and beta as one integer operator with a scale a channel, instead of MUL and ADD."""
    (channels,) = affine.weights[0].shape
    gamma = np.ones(channels) if affine.gamma is None else np.asarray(affine.gamma)
    beta = np.zeros(channels) if affine.beta is None else np.asarray(affine.beta)
    depthwise = keras.layers.DepthwiseConv2D(1, name=name)
    depthwise.build((None, 1, None, channels))
    depthwise.set_weights([gamma.reshape(1, 1, -1, 1), beta])
    return depthwise


def _on_map(layer, inputs):
    """Call a layer of images on a tensor of any rank (batch, ..., channels)."""
    shape = tuple(inputs.shape)
    if len(shape) == 4:
        return layer(inputs)
    as_map = keras.ops.reshape(inputs, (-1, 1, math.prod(shape[1:-1]), shape[-1]))
    return keras.ops.reshape(layer(as_map), (-1, *shape[1:]))


def _lower_end(call):
    """The lower end of the range on the output of a call: the file has one grid for both."""
    (quantizer,) = {reader.operation for reader in call.output.consumers}
    return quantizer.range[0]


def _changed(layer, name, **config):
    return type(layer).from_config({**layer.get_config(), "name": name, **config})
