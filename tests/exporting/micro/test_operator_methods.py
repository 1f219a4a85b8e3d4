import types

import pytest

from keras_compress.edge_profiles import profile
from keras_compress.errors import ConversionError
from keras_compress.exporting.micro.operator_methods import operator_methods

# The methods of MicroMutableOpResolver for TensorFlow Lite's operators, as its header and a list of
# all of them in a firmware for its 2026 version spell them, and those for custom operators.
METHODS = """
Abs Add AddN ArgMax ArgMin AssignVariable AveragePool2D BatchMatMul BatchToSpaceNd BroadcastArgs
BroadcastTo CallOnce Cast Ceil CircularBuffer Concatenation Conv2D Cos CumSum Decode DepthToSpace
DepthwiseConv2D Dequantize DetectionPostprocess Div DynamicUpdateSlice EmbeddingLookup Elu Equal
EthosU Exp ExpandDims Fill Floor FloorDiv FloorMod FullyConnected Gather GatherNd Greater
GreaterEqual HardSwish If L2Normalization L2Pool2D LeakyRelu Less LessEqual Log LogicalAnd
LogicalNot LogicalOr Logistic LogSoftmax Maximum MaxPool2D MirrorPad Mean Minimum Mul Neg NotEqual
Pack Pad PadV2 Prelu Quantize ReadVariable ReduceAll ReduceMax ReduceMin Relu Relu6 Reshape
ResizeBilinear ResizeNearestNeighbor ReverseV2 Round Rsqrt SelectV2 Shape Sin Slice Softmax
SpaceToBatchNd SpaceToDepth Split SplitV Squeeze Sqrt Square SquaredDifference StridedSlice Sub
Sum Svdf Tanh TransposeConv Transpose Unpack UnidirectionalSequenceLSTM VarHandle While ZerosLike
"""
CUSTOM = {
    "TFLM_DECODE": "Decode",
    "CIRCULAR_BUFFER": "CircularBuffer",
    "TFLite_Detection_PostProcess": "DetectionPostprocess",
    "ethos-u": "EthosU",
}


def model(*names, custom=()):
    operators = [types.SimpleNamespace(name=name, is_custom=False) for name in names]
    operators += [types.SimpleNamespace(name=name, is_custom=True) for name in custom]
    return types.SimpleNamespace(subgraphs=[types.SimpleNamespace(operators=operators)])


def test_every_operator_of_tflite_micro_has_its_method():
    builtin = [name for name in profile.get("cortex_m4").operators if name not in CUSTOM]
    assert len(builtin) == 100
    named = {operator_methods(model(name)) for name in builtin}
    assert {name for (name,) in named} == {
        f"Add{m}" for m in set(METHODS.split()) - set(CUSTOM.values())
    }


@pytest.mark.parametrize(("operator", "method"), CUSTOM.items())
def test_custom_operators_of_tflite_micro(operator, method):
    assert operator_methods(model(custom=[operator])) == (f"Add{method}",)


def test_each_is_listed_once_and_those_of_other_subgraphs_too():
    graphs = model("CONV_2D", "RELU", "CONV_2D"), model("ADD", "RELU")
    both = types.SimpleNamespace(subgraphs=[g.subgraphs[0] for g in graphs])
    assert operator_methods(both) == ("AddAdd", "AddConv2D", "AddRelu")


@pytest.mark.parametrize("unknown", [model("GELU"), model("ADD", custom=["MyOp"])])
def test_what_tflite_micro_lacks_is_refused(unknown):
    with pytest.raises(ConversionError, match="GELU|MyOp"):
        operator_methods(unknown)
