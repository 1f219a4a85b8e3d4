"""Split a LayerNormalization into steps, so that each of its tensors has its own range.

    y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * gamma + beta

(Ba et al. 2016, equations 3 and 4.) `kc.strip` restores it.
"""

import keras

from keras_compress.lowering.call_replacement import CallReplacement
from keras_compress.lowering.normalization_layers import NormalizationAffine, NormalizationStep


def obstacle(call):
    """Return why a LayerNormalization cannot be split.

    Args:
        call: A call of a `LayerNormalization` or a subclass.

    Returns:
        The reason, or `None` if it can be split.
    """
    layer = call.operation
    if type(layer) is not keras.layers.LayerNormalization:
        return "only keras.layers.LayerNormalization itself is supported"
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    rank = len(call.output.shape)
    if [axis % rank for axis in axes] != [rank - 1]:
        return "it normalizes axes other than the last"
    if layer.get_config().get("rms_scaling"):
        return "rms_scaling=True"
    return None


def split_normalization(graph):
    """Split the LayerNormalizations of a graph, in place.

    Args:
        graph: A traced `Graph`.
    """
    made: dict[tuple[keras.Operation, str], keras.Layer] = {}
    for call in list(graph.calls):
        if isinstance(call.operation, keras.layers.LayerNormalization) and not obstacle(call):
            _split(graph, call, made)


def _split(graph, call, made):
    layer, replacement = call.operation, CallReplacement(call, made)

    def step(name, kind, *values):
        return replacement.add(replacement.layer(name, _maker(layer, kind)), *values)

    source = call.inputs[0]
    centred = step("centred", "difference", source, step("mean", "mean", source))
    variance = step("variance", "mean", step("squares", "square", centred))
    root = step("inverse_root", "inverse_root", step("raised", "raise", variance))
    result = step("normalized", "product", centred, root)
    affine = replacement.layer("affine", lambda name: _affine(layer, name, result.shape))
    replacement.replace(graph, replacement.add(affine, result))


def _maker(layer, kind):
    return lambda name: NormalizationStep(
        kind, epsilon=layer.epsilon, dtype=layer.dtype_policy, name=name
    )


def _affine(layer, name, shape):
    affine = NormalizationAffine(
        layer.get_config(),
        activity_regularizer=layer.activity_regularizer,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=name,
    )
    affine.build(shape)
    affine.set_weights(layer.get_weights())
    return affine
