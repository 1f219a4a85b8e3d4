"""Small TFLite files made by hand with the schema's own object API: no TensorFlow, no seconds."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

_OPTIONS = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "CONV_3D": "Conv3DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DIV": "DivOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PACK": "PackOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SHAPE": "ShapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "SPLIT": "SplitOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
}


class Builder:
    """Collects tensors and operators of one graph."""

    def __init__(self):
        self._buffers = [schema.BufferT()]
        self._tensors, self._operators, self._codes = [], [], {}

    def tensor(self, shape, dtype="int8", data=None, scales=(0.5,), axis=0, **more):
        """Add a tensor and return its index; `data` makes it a constant."""
        made = schema.TensorT()
        made.shape = list(shape)
        made.shapeSignature = more.get("signature")
        made.type = getattr(schema.TensorType, dtype.upper())
        made.name = more.get("name", f"tensor_{len(self._tensors)}")
        made.isVariable = more.get("is_variable", False)
        made.hasRank = True
        if data is not None:
            buffer = schema.BufferT()
            kind = {"int4": "int8"}.get(dtype, dtype)
            values = np.broadcast_to(np.asarray(data, kind), shape).ravel()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            if dtype == "int4":
                buffer.data = (values[0::2] & 15 | values[1::2] << 4).astype(np.uint8)
            made.buffer = len(self._buffers)
            self._buffers.append(buffer)
        if dtype not in ("float32", "bool", "int64") and len(scales):
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.asarray(scales, np.float32)
            zero_point = np.full(len(scales), more.get("zero_point", 0), np.int64)
            made.quantization.zeroPoint = zero_point
            made.quantization.quantizedDimension = axis
        self._tensors.append(made)
        return len(self._tensors) - 1

    def operator(self, name, inputs, outputs, version=1, **options):
        """Add an operator; options are named as in the schema's object API."""
        made = schema.OperatorT()
        made.opcodeIndex = self._code(name, version)
        made.inputs, made.outputs = list(inputs), list(outputs)
        if name in _OPTIONS:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, _OPTIONS[name])
            made.builtinOptions = getattr(schema, f"{_OPTIONS[name]}T")()
            for option, value in options.items():
                if not hasattr(made.builtinOptions, option):
                    raise AttributeError(f"{name} has no option {option}")
                setattr(made.builtinOptions, option, value)
        self._operators.append(made)

    def content(self, inputs, outputs):
        """Return the file's bytes."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        graph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.description = "made by hand"
        model.buffers, model.subgraphs = self._buffers, [graph]
        model.operatorCodes = list(self._codes.values())
        packer = flatbuffers.Builder(1024)
        packer.Finish(model.Pack(packer), b"TFL3")
        return bytes(packer.Output())

    def _code(self, name, version):
        if (name, version) not in self._codes:
            code = schema.OperatorCodeT()
            number = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
            code.builtinCode = number
            code.deprecatedBuiltinCode = min(number, 127)
            code.customCode = name if number == schema.BuiltinOperator.CUSTOM else None
            code.version = version
            self._codes[name, version] = code
        return list(self._codes).index((name, version))


@pytest.fixture(scope="session")
def new_builder():
    """The class that makes files."""
    return Builder


@pytest.fixture
def builder():
    """An empty builder."""
    return Builder()


@pytest.fixture
def read_operator():
    """A function that builds a graph and returns its last operator, as the reader gives it."""
    from keras_compress.converters import flatbuffer

    def read(fill, **options):
        made = Builder()
        fill(made, **options)
        return flatbuffer.read(made.content([], [])).operators[-1]

    return read


def fill_conv(
    builder,
    *,
    height=8,
    channels=4,
    filters=8,
    kernel=3,
    stride=1,
    padding="SAME",
    dtype="int8",
    weight_dtype=None,
    weights=1,
    scales=None,
    version=3,
    dilation=(1, 1),
    activation="NONE",
    batch=1,
):
    """Add a CONV_2D and return (input, output)."""
    side = height if padding == "SAME" else height - kernel + 1
    out = -(-side // stride)
    image = builder.tensor((batch, height, height, channels), dtype, name="image")
    shape = (filters, kernel, kernel, channels)
    weight_dtype = weight_dtype or {"float32": "float32"}.get(dtype, "int8")
    scales = (0.1,) * filters if scales is None else scales
    kernel_tensor = builder.tensor(shape, weight_dtype, data=weights, scales=scales)
    bias_type = {"float32": "float32", "int16": "int64"}.get(dtype, "int32")
    bias = builder.tensor((filters,), bias_type, data=0)
    output = builder.tensor((batch, out, out, filters), dtype, name="model_1/conv_1/convolution")
    builder.operator(
        "CONV_2D",
        [image, kernel_tensor, bias],
        [output],
        version=version,
        padding=getattr(schema.Padding, padding),
        strideW=stride,
        strideH=stride,
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        fusedActivationFunction=getattr(schema.ActivationFunctionType, activation),
    )
    return image, output


@pytest.fixture(scope="session")
def conv():
    """The function that adds a CONV_2D."""
    return fill_conv


def fill_classifier(builder, dtype="int8", signature=None, dense_scales=(0.1,), **more):
    """Add CONV_2D, AVERAGE_POOL_2D, RESHAPE and FULLY_CONNECTED; return (input, output)."""
    source, features = fill_conv(builder, dtype=dtype, **more)
    batch = more.get("batch", 1)
    builder._tensors[source].shapeSignature = signature
    pooled = builder.tensor((batch, 4, 4, 8), dtype, name="model_1/pool_1/AvgPool")
    builder.operator(
        "AVERAGE_POOL_2D",
        [features],
        [pooled],
        filterHeight=2,
        filterWidth=2,
        strideH=2,
        strideW=2,
    )
    flat = builder.tensor((batch, 128), dtype, name="model_1/flatten_1/Reshape")
    shape = builder.tensor((2,), "int32", data=[batch, 128], scales=())
    builder.operator("RESHAPE", [pooled, shape], [flat], newShape=[batch, 128])
    kind = more.get("weight_dtype") or {"float32": "float32"}.get(dtype, "int8")
    weights = builder.tensor((10, 128), kind, data=1, scales=dense_scales)
    output = builder.tensor((batch, 10), dtype, name="model_1/head_1/MatMul")
    builder.operator("FULLY_CONNECTED", [flat, weights, -1], [output], version=4)
    return source, output


@pytest.fixture(scope="session")
def classifier():
    """A function that returns the bytes of a small classifier made with the given options."""

    def make(**options):
        builder = Builder()
        source, output = fill_classifier(builder, **options)
        return builder.content([source], [output])

    return make


@pytest.fixture(scope="session")
def with_island():
    """An integer file that computes ELU in float between two convolutions."""
    builder = Builder()
    source, features = fill_conv(builder)
    raw = builder.tensor((1, 8, 8, 8), "float32", name="tfl.dequantize")
    made = builder.tensor((1, 8, 8, 8), "float32", name="model_1/swell_1/Elu")
    back = builder.tensor((1, 8, 8, 8), name="tfl.quantize")
    builder.operator("DEQUANTIZE", [features], [raw])
    builder.operator("ELU", [raw], [made])
    builder.operator("QUANTIZE", [made], [back])
    weights = builder.tensor((4, 1, 1, 8), data=1)
    target = builder.tensor((1, 8, 8, 4), name="model_1/last_1/convolution")
    builder.operator("CONV_2D", [back, weights, -1], [target], version=3, strideW=1, strideH=1)
    return builder.content([source], [target])
