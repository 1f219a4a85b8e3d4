"""Rewrite a graph as the operators that TFLite will run, so that each has its own tensor.

A `Dense(activation="softmax")` becomes a FULLY_CONNECTED and a SOFTMAX, and the tensor between
them needs a range; a `SeparableConv2D` is two convolutions; SiLU is a LOGISTIC and a MUL. Training
can only simulate the rounding of tensors that are in the graph.
"""

import keras

from keras_compress.graph import graph as graphs
from keras_compress.layers import base as layer_types
from keras_compress.layers.roles import activation_name, is_fusable
from keras_compress.lowering.activation_layers import InnerActivation, SiluProduct
from keras_compress.lowering.normalization import split_normalization


def lower(graph):
    """Split layers that TFLite runs as several operators, in place.

    Args:
        graph: A traced `Graph`.

    Returns:
        The same graph. Layers that were split are replaced by new, built layers.
    """
    made: dict[tuple[keras.Operation, str], keras.Layer] = {}
    split_normalization(graph)
    for call in list(graph.calls):
        if type(call.operation) is keras.layers.SeparableConv2D:
            call = _split_separable(graph, call, made)
        if _has_inner_activation(call.operation):
            call = _split_activation(graph, call, made)
        if activation_name(call.operation) in ("silu", "swish"):
            _split_silu(graph, call, made)
    return graph


def _has_inner_activation(operation):
    layer_type = layer_types.find(operation)
    if layer_type is None or not layer_type.applies_activation:
        return False
    return not (activation_name(operation) == "linear" or is_fusable(operation))


def _split_activation(graph, call, made):
    layer = call.operation
    if layer not in made:
        activation = InnerActivation(
            layer.activation,
            activity_regularizer=layer.activity_regularizer,
            name=f"{layer.name}_activation",
        )
        made[layer] = _linear_copy(layer, call.inputs[0].shape), activation
    call.operation, activation = made[layer]
    return graphs.insert_after(graph, call.output, activation).producer


def _linear_copy(layer, input_shape):
    copy = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    copy.activity_regularizer = None  # The activation has it, as it is the layer's output.
    copy.build(input_shape)
    copy.set_weights(layer.get_weights())
    return copy


def _split_silu(graph, call, made):
    layer = call.operation
    (source,) = call.inputs
    if (layer, "silu") not in made:
        made[layer, "silu"] = (
            keras.layers.Activation("sigmoid", name=f"{layer.name}_sigmoid"),
            SiluProduct(
                original=layer.name,
                inner=isinstance(layer, InnerActivation),
                activity_regularizer=getattr(layer, "activity_regularizer", None),
                name=f"{layer.name}_product",
            ),
        )
    call.operation, multiply = made[layer, "silu"]
    graphs.insert_after(graph, call.output, multiply, [source, call.output])


def _split_separable(graph, call, made):
    layer = call.operation
    if layer not in made:
        made[layer] = _separable_parts(layer, call.inputs[0].shape)
    depthwise, pointwise = made[layer]
    output = call.output
    call.operation = depthwise
    result = graphs.insert_after(graph, output, pointwise)
    result.shape = output.shape
    output.shape = depthwise.compute_output_shape(call.inputs[0].shape)
    return result.producer


def _separable_parts(layer, input_shape):
    config = layer.get_config()
    depthwise = keras.layers.DepthwiseConv2D(
        config["kernel_size"],
        strides=config["strides"],
        padding=config["padding"],
        depth_multiplier=config["depth_multiplier"],
        dilation_rate=config["dilation_rate"],
        use_bias=False,
        depthwise_regularizer=layer.depthwise_regularizer,
        depthwise_constraint=layer.depthwise_constraint,
        trainable=layer.trainable,
        name=f"{layer.name}_depthwise",
    )
    pointwise = keras.layers.Conv2D(
        config["filters"],
        1,
        use_bias=config["use_bias"],
        activation=layer.activation,
        kernel_regularizer=layer.pointwise_regularizer,
        bias_regularizer=layer.bias_regularizer,
        activity_regularizer=layer.activity_regularizer,
        kernel_constraint=layer.pointwise_constraint,
        bias_constraint=layer.bias_constraint,
        trainable=layer.trainable,
        name=layer.name,
    )
    depthwise.build(input_shape)
    pointwise.build(depthwise.compute_output_shape(input_shape))
    depthwise_kernel, *rest = layer.get_weights()
    depthwise.set_weights([depthwise_kernel])
    pointwise.set_weights(rest)
    return depthwise, pointwise
