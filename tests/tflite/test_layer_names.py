import pytest

from keras_compress.tflite import flatbuffer
from keras_compress.tflite.layer_names import LayerNames, guess_scopes

FUSED = {
    "DEPTHWISE_CONV_2D": [("depthwise", "depthwise_bn", "depthwise_relu6")],
    "ADD": [("join", "join_relu")],
    "MEAN": [("average",)],
    "FULLY_CONNECTED": [("hidden",), ("probs",)],
    "SOFTMAX": [("probs",)],
}


def _handmade_chain(handmade, names, operators, outputs):
    tensors = [{"name": name, "shape": [1], "type": "INT8"} for name in names]
    return flatbuffer.read(handmade(tensors, operators, [0], outputs)).subgraphs[0]


def test_scopes_give_the_layers_in_the_order_of_the_model(handmade):
    names = ["x", "b/Relu;b_bn/add_1;a/convolution;b_bn/mul", "c/inner/Elu"]
    operators = [("CONV_2D", [0], [1], None), ("ELU", [1], [2], None)]
    graph = _handmade_chain(handmade, names, operators, [2])
    scopes = {"a": "conv", "b_bn": "bn", "b": "relu", "c": "outer", "c/inner": "elu"}
    layers = LayerNames(graph, scopes)
    assert layers.of_operator(graph.operators[0]) == ("conv", "bn", "relu")
    assert layers.first(graph.operators[0]) == "conv"
    assert layers.of_operator(graph.operators[1]) == ("elu",)


def test_a_scope_is_no_mere_prefix(handmade):
    names = ["x", "conv_1/convolution", "conv_1_2/convolution"]
    operators = [("CONV_2D", [0], [1], None), ("CONV_2D", [1], [2], None)]
    graph = _handmade_chain(handmade, names, operators, [2])
    # What Keras 3.15 makes of layers named conv and conv_1: each scope is opened twice.
    layers = LayerNames(graph, {"conv_1": "conv", "conv_1_2": "conv_1"})
    assert [layers.first(op) for op in graph.operators] == ["conv", "conv_1"]


def test_operators_that_the_converter_puts_in_belong_to_those_they_serve(handmade):
    names = ["x", "d/MatMul", "tfl.dequantize", "e/Elu", "tfl.quantize", "StatefulPartitioned:0"]
    operators = [
        ("FULLY_CONNECTED", [0], [1], None),
        ("DEQUANTIZE", [1], [2], None),
        ("ELU", [2], [3], None),
        ("QUANTIZE", [3], [4], None),
        ("TANH", [4], [5], None),
    ]
    graph = _handmade_chain(handmade, names, operators, [5])
    scopes = {"d": "d", "e": "e", "t": "t"}
    named = LayerNames(graph, scopes, outputs=["t"])
    assert [named.first(op) for op in graph.operators] == ["d", "e", "e", "e", "t"]
    unnamed = LayerNames(graph, scopes)
    assert unnamed.first(graph.operators[4]) == "e"


def test_nothing_known(handmade):
    operators = [("ABS", [0], [1], None), ("ABS", [1], [0], None)]
    graph = _handmade_chain(handmade, ["x", "y"], operators, [0])
    assert LayerNames(graph).first(graph.operators[0]) is None


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_guessed_layers_of_a_file_by_tensorflow(by_tensorflow, kind):
    graph = flatbuffer.read(getattr(by_tensorflow, kind)).subgraphs[0]
    layers = LayerNames(graph)
    found = {}
    for operator in graph.operators:
        found.setdefault(operator.name, []).append(layers.of_operator(operator))
    # Keras opens the scope of "stem" twice, which makes "stem_1" of it: from names alone it
    # cannot be told from the layer "stem_1".
    del found["CONV_2D"]
    assert found == {name: FUSED[name] for name in found}
    assert set(found) >= {"DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}


def test_guessed_scopes_that_would_collide_keep_their_suffix(handmade):
    names = ["m/x_1/Relu", "m/x_2/Relu", "m/y_1/Relu"]
    operators = [("RELU", [0], [1], None), ("RELU", [1], [2], None)]
    graph = _handmade_chain(handmade, names, operators, [2])
    assert guess_scopes(graph) == {"m/x_1": "x_1", "m/x_2": "x_2", "m/y_1": "y"}
