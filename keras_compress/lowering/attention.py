"""Split a MultiHeadAttention into parts, so that its projections and tensors can be compressed.

    MultiHeadAttention -> query, key, value: AttentionProjection, Reshape
                          AttentionScores, AttentionMask, Softmax, Dropout, AttentionContext
                          Reshape, output: AttentionProjection

(Vaswani et al. 2017, section 3.2.) `kc.strip` restores the attention.
"""

import inspect
import math

import keras

from keras_compress.graph.graph import all_layers
from keras_compress.graph.implicit_masks import hides_steps
from keras_compress.lowering.attention_layers import (
    AttentionContext,
    AttentionMask,
    AttentionProjection,
    AttentionScores,
)
from keras_compress.lowering.call_replacement import CallReplacement


def obstacle(call):
    """Return why an attention cannot be split.

    Args:
        call: A call of a `MultiHeadAttention`, `GroupQueryAttention` or a subclass.

    Returns:
        The reason, or `None` if it can be split.
    """
    layer = call.operation
    if type(layer) is not keras.layers.MultiHeadAttention:
        return "only keras.layers.MultiHeadAttention itself is supported"
    arguments = _arguments(call)
    if arguments.get("return_attention_scores"):
        return "return_attention_scores=True"
    if any(len(arguments[name].shape) != 3 for name in ("query", "value")):
        return "its inputs are not sequences (batch, steps, features)"
    if len(layer.output_dense.kernel.shape) != 3:
        return "its output_shape has several dimensions"
    if any(dense.kernel_constraint or dense.bias_constraint for dense in denses(layer).values()):
        return "its weights have constraints"
    if any(dense.activity_regularizer for dense in denses(layer).values()):
        return "it has an activity_regularizer"
    if any(hides_steps(value) for value in call.inputs):
        return "Embedding(mask_zero=True) or Masking hides steps: pass attention_mask instead"
    return None


def is_attention(operation):
    """Tell whether a layer is one of Keras' multi-head attentions."""
    kinds = keras.layers.MultiHeadAttention | keras.layers.GroupQueryAttention
    return isinstance(operation, kinds)


def split_attention(graph, is_selected=lambda name: True):
    """Split the attentions of a graph, in place.

    Args:
        graph: A traced `Graph`.
        is_selected: Predicate on the name of an attention. Default: all attentions.

    Returns:
        Dict from the name of each attention that was split to the names of its projections.
    """
    made: dict[tuple[keras.Operation, str], keras.Layer] = {}
    parts = {}
    for call in list(graph.calls):
        layer = call.operation
        if not is_attention(layer) or not is_selected(layer.name) or obstacle(call):
            continue
        _split(graph, call, made)
        parts[layer.name] = [f"{layer.name}_{part}" for part in denses(layer)]
    return parts


def _split(graph, call, made):
    layer, arguments = call.operation, _arguments(call)
    replacement = CallReplacement(call, made)
    query, value = arguments["query"], arguments["value"]
    key = value if arguments.get("key") is None else arguments["key"]
    scores = replacement.add(
        replacement.layer("scores", _maker(AttentionScores, layer)),
        _heads(replacement, layer, "query", query),
        _heads(replacement, layer, "key", key),
    )
    weights = _weights(replacement, layer, arguments, scores)
    values = _heads(replacement, layer, "value", value)
    context = replacement.add(
        replacement.layer("context", _maker(AttentionContext, layer)), weights, values
    )
    flatten = _maker(keras.layers.Reshape, layer, target_shape=(-1, math.prod(context.shape[2:])))
    context = replacement.add(replacement.layer("flat", flatten), context)
    if "gate" in denses(layer):
        gate = replacement.add(replacement.layer("gate", _projection(layer, "gate")), query)
        product = replacement.layer("gated", _maker(keras.layers.Multiply, layer))
        context = replacement.add(product, [context, gate])
    output = replacement.add(replacement.layer("output", _projection(layer, "output")), context)
    replacement.replace(graph, output)


def _heads(replacement, layer, part, value):
    """Project a tensor to (batch, steps, heads, values of a head)."""
    projected = replacement.add(replacement.layer(part, _projection(layer, part)), value)
    *_, heads, size = denses(layer)[part].kernel.shape
    split = _maker(keras.layers.Reshape, layer, target_shape=(-1, heads, size))
    return replacement.add(replacement.layer(f"{part}_heads", split), projected)


def _weights(replacement, layer, arguments, scores):
    """Turn scores into attention weights: mask, softmax, dropout."""
    mask, causal = arguments.get("attention_mask"), bool(arguments.get("use_causal_mask"))
    window = layer.get_config().get("sliding_window")
    if mask is not None or causal or window is not None:
        masking = replacement.layer(
            "mask", _maker(AttentionMask, layer, causal=causal, window=window)
        )
        scores = replacement.add(masking, scores, *([] if mask is None else [mask]))
    weights = replacement.add(
        replacement.layer("softmax", _maker(keras.layers.Softmax, layer)), scores
    )
    if not layer.dropout:
        return weights
    dropout = _maker(keras.layers.Dropout, layer, rate=layer.dropout, seed=layer.seed)
    return replacement.add(replacement.layer("dropout", dropout), weights)


def _maker(kind, layer, **config):
    return lambda name: kind(name=name, dtype=layer.dtype_policy, **config)


def _projection(layer, part):
    """Return a function that makes a built projection of a given name, with its weights."""
    dense = denses(layer)[part]
    source = dense.kernel.shape[:2] if part == "output" else dense.kernel.shape[:1]
    width = math.prod(dense.kernel.shape) // math.prod(source)

    def make(name):
        projection = AttentionProjection(
            width,
            part,
            factor=layer.key_dim**-0.5 if part == "query" else 1.0,
            attention=layer.get_config() if part == "output" else None,
            activation=dense.activation,
            use_bias=dense.bias is not None,
            kernel_regularizer=dense.kernel_regularizer,
            bias_regularizer=dense.bias_regularizer,
            activity_regularizer=dense.activity_regularizer,
            trainable=layer.trainable and dense.trainable,
            dtype=layer.dtype_policy,
            name=name,
        )
        projection.build((None, None, math.prod(source)))
        arrays = [keras.ops.convert_to_numpy(variable) for variable in dense.weights]
        projection.set_weights([arrays[0].reshape(-1, width), *(a.ravel() for a in arrays[1:])])
        return projection

    return make


def denses(layer):
    """Return the projections of a built attention by their role.

    Args:
        layer: A `MultiHeadAttention`.

    Returns:
        Dict from `"query"`, `"key"`, `"value"`, `"output"` and, if it has one, `"gate"` to the
        `EinsumDense` layer.
    """
    denses = {
        "query": layer.query_dense,
        "key": layer.key_dense,
        "value": layer.value_dense,
        "output": layer.output_dense,
    }
    if layer.get_config().get("use_gate"):
        denses["gate"] = _sublayer(layer, "gate")
    return denses


def _sublayer(layer, name):
    return next(part for part in all_layers(layer) if part.name == name)


def _arguments(call):
    bound = inspect.signature(call.operation.call).bind(*call.args, **call.kwargs)
    return bound.arguments
