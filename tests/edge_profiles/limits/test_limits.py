import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import Padding

from keras_compress.edge_profiles.limits.registry import LIMITS


def limit(name, value):
    return LIMITS[name](value)


def integers(builder, values):
    return builder.tensor(np.shape(values), "int32", data=values, scales=())


def unary(builder, name="LOGISTIC", shape=(1, 4, 4, 8), dtype="int8", out=None, scales=(0.5,)):
    source = builder.tensor(shape, dtype)
    target = builder.tensor(out or shape, dtype, scales=scales)
    builder.operator(name, [source], [target])


def pool(builder, height=2, width=2, padding="VALID"):
    source = builder.tensor((1, 8, 8, 4))
    target = builder.tensor((1, 8 // height or 1, 8 // width or 1, 4))
    builder.operator(
        "AVERAGE_POOL_2D",
        [source],
        [target],
        filterHeight=height,
        filterWidth=width,
        strideH=height,
        strideW=width,
        padding=getattr(Padding, padding),
    )


def mean(builder, axes=(1, 2), shape=(1, 4, 4, 8), dtype="int8", name="MEAN"):
    kept = [size for axis, size in enumerate(shape) if axis not in axes]
    source, target = builder.tensor(shape, dtype), builder.tensor(kept, dtype)
    builder.operator(name, [source, integers(builder, list(axes))], [target], keepDims=False)


def resize(builder, factor=2, side=4, **options):
    source = builder.tensor((1, side, side, 8))
    out = (side * factor, side * factor) if np.isscalar(factor) else factor
    target = builder.tensor((1, *out, 8))
    builder.operator("RESIZE_BILINEAR", [source, integers(builder, list(out))], [target], **options)


def strided_slice(builder, strides=(1, 1, 1, 1), **options):
    source, target = builder.tensor((1, 8, 8, 4)), builder.tensor((1, 4, 4, 4))
    parameters = [integers(builder, list(v)) for v in ((0, 0, 0, 0), (1, 4, 4, 4), strides)]
    builder.operator("STRIDED_SLICE", [source, *parameters], [target], **options)


def transposed(builder, stride=(2, 2), out=(8, 8), kernel=(2, 2), padding="SAME", source=(4, 4)):
    shape = integers(builder, [1, *out, 4])
    weights = builder.tensor((4, *kernel, 4), data=1)
    image, target = builder.tensor((1, *source, 4)), builder.tensor((1, *out, 4))
    builder.operator(
        "TRANSPOSE_CONV",
        [shape, weights, image],
        [target],
        strideH=stride[0],
        strideW=stride[1],
        padding=getattr(Padding, padding),
    )


def prelu(builder, alpha=(1, 1, 8)):
    source, target = builder.tensor((1, 4, 4, 8)), builder.tensor((1, 4, 4, 8))
    builder.operator("PRELU", [source, builder.tensor(alpha, data=1)], [target])


def concat(builder, constants=0, inputs=2, value=0, zero_point=0):
    made = [
        builder.tensor((1, 4), data=value if i < constants else None, zero_point=zero_point)
        for i in range(inputs)
    ]
    builder.operator("CONCATENATION", made, [builder.tensor((1, 4 * inputs))], axis=1)


def dense(builder, scales=(0.5,), weights_format=0, rows=1, weight_dtype="int8", dtype="int8"):
    source = builder.tensor((rows, 8), dtype)
    weights = builder.tensor((4, 8), weight_dtype, data=1, scales=scales)
    target = builder.tensor((rows, 4), dtype)
    inputs = [source, weights, -1]
    builder.operator("FULLY_CONNECTED", inputs, [target], weightsFormat=weights_format)


INT4_BY_CHANNEL = {"weight_dtype": "int4", "scales": (0.1,) * 4}


def pad(builder, batch=0):
    paddings = integers(builder, [[batch, 0], [1, 1], [1, 1], [0, 0]])
    source, target = builder.tensor((1, 4, 4, 8)), builder.tensor((1 + batch, 6, 6, 8))
    builder.operator("PAD", [source, paddings], [target])


def maximum(builder, scales=(0.5,)):
    made = [builder.tensor((1, 4), scales=s) for s in ((0.5,), scales, (0.5,))]
    builder.operator("MAXIMUM", made[:2], made[2:])


def split(builder, axis=3, count=2):
    source = builder.tensor((2, 4, 4, 8))
    targets = [builder.tensor((2, 4, 4, 8 // count)) for _ in range(count)]
    builder.operator("SPLIT", [integers(builder, axis), source], targets, numSplits=count)


def reshape(builder, constant=True):
    source, target = builder.tensor((1, 4, 4, 8)), builder.tensor((1, 128))
    shape = builder.tensor((2,), "int32", data=[1, 128] if constant else None, scales=())
    builder.operator("RESHAPE", [source, shape], [target])


def gather(builder, axis=0, batch_dims=0):
    source, target = builder.tensor((4, 8)), builder.tensor((2, 8))
    inputs = [source, integers(builder, [1, 2])]
    builder.operator("GATHER", inputs, [target], axis=axis, batchDims=batch_dims)


def lstm(builder, peephole=False, coupled=False, projection=False):
    def weight():
        return builder.tensor((4, 4), data=1)

    inputs = [builder.tensor((1, 8, 4)), *(weight() for _ in range(8)), *[-1] * 15]
    for present, position in ((peephole, 9), (projection, 16)):
        if present:
            inputs[position] = weight()
    inputs[1] = -1 if coupled else inputs[1]
    builder.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [builder.tensor((1, 8, 4))])


def quantize(builder, source="int8", scales=(0.5,)):
    inputs = [builder.tensor((1, 4), source, scales=scales)]
    builder.operator("QUANTIZE", inputs, [builder.tensor((1, 4))])


# limit, value, operator, options that keep it, options that break it, words of the problem
CASES = [
    ("types", ["int8"], unary, {}, {"dtype": "int16"}, "works on int16"),
    ("types", ["int8"], reshape, {"constant": False}, None, ""),
    ("input_types", ["int8"], quantize, {}, {"source": "float32"}, "reads float32"),
    ("weight_types", ["int8"], dense, {}, {"weight_dtype": "int4"}, "int4 weights"),
    ("weight_types", ["int8"], unary, {}, None, ""),
    ("hybrid", False, dense, {}, {"dtype": "float32"}, "dynamic range"),
    ("hybrid", True, dense, {"dtype": "float32"}, None, ""),
    ("pool_window", {"side_if_same": 8}, pool, {}, None, ""),
    ("pool_window", {"area": 8}, pool, {}, {"height": 4, "width": 4}, "window of 4x4"),
    ("pool_window", {"height": 3}, pool, {"width": 8}, {"height": 4}, "window of 4x2"),
    (
        "pool_window",
        {"area": 64, "side_if_same": 3},
        pool,
        {"height": 4},
        {"height": 4, "padding": "SAME"},
        "up to 3x3 with SAME",
    ),
    ("reduction", {"axes": [[1, 2], [2]]}, mean, {"axes": (2, 1)}, {"axes": (1,)}, "axes"),
    ("reduction", {"axis_below": 5}, mean, {}, {"shape": (1, 5, 4, 8)}, "an axis of 5"),
    ("reduction", {"elements": {"int8": 16}}, mean, {}, {"axes": (1, 2, 3)}, "128 elements"),
    ("reduction", {"elements": {"int8": 1}}, mean, {"dtype": "int16"}, None, ""),
    ("reduction", {"depth_only": True}, mean, {"axes": (3,)}, {}, "channels only"),
    (
        "reduction",
        {"depth_multiple": 4},
        mean,
        {"axes": (3,)},
        {"axes": (3,), "shape": (1, 4, 4, 6)},
        "multiple of 4",
    ),
    (
        "reduction",
        {"depth_needs_one": True},
        mean,
        {"axes": (3,), "shape": (1, 1, 4, 8)},
        {"axes": (3,)},
        "more than 1 high",
    ),
    ("batch_axis", False, mean, {}, {"axes": (0,)}, "batch axis"),
    ("batch_axis", False, pad, {}, {"batch": 1}, "batch axis"),
    ("batch_axis", False, split, {}, {"axis": -4}, "batch axis"),
    ("batch_axis", True, mean, {"axes": (0,)}, None, ""),
    ("max_rank", 4, unary, {}, {"shape": (1, 2, 2, 2, 2)}, "5 dimensions"),
    ("inner_dimensions", 3, unary, {}, {"shape": (2, 4, 4, 8)}, "[2, 4, 4, 8]"),
    ("inner_dimensions", 1, unary, {"shape": (1, 1, 8)}, {}, "innermost"),
    ("output_dimensions", 1, dense, {}, {"rows": 3}, "[3, 4]"),
    ("constant_inputs", [1], reshape, {}, {"constant": False}, "computes its input 1"),
    ("constant_inputs", [7], reshape, {}, None, ""),
    ("input_count", [2, 4], concat, {"inputs": 4}, {"inputs": 5}, "5 inputs"),
    ("output_count", [2, 4], split, {}, {"count": 8}, "8 outputs"),
    ("per_channel", False, dense, {}, {"scales": (0.1,) * 4}, "4 scales"),
    ("per_channel", True, dense, {"scales": (0.1,) * 4}, None, ""),
    ("int4_one_scale", True, dense, {"weight_dtype": "int4"}, INT4_BY_CHANNEL, "4 scales on int4"),
    ("int4_one_scale", True, dense, {"scales": (0.1,) * 4}, INT4_BY_CHANNEL, "rule: one"),
    ("int4_one_scale", False, dense, INT4_BY_CHANNEL, None, ""),
    ("quantized", True, quantize, {}, {"scales": ()}, "has no scale"),
    ("resize", {"factors": [2, 4]}, resize, {"factor": 4}, {"factor": 3}, "[4, 4] to [12, 12]"),
    ("resize", {"factors": [2, 4]}, resize, {"side": 1, "factor": 9}, {"factor": (8, 16)}, "same"),
    ("resize", {"factors": [2]}, resize, {"factor": (7, 7), "alignCorners": True}, {}, None),
    (
        "resize",
        {"factors": [2, 4], "half_pixel_factors": [2]},
        resize,
        {"factor": 2, "halfPixelCenters": True},
        {"factor": 4, "halfPixelCenters": True},
        "2 with half-pixel",
    ),
    ("resize", {"max_factor": 8}, resize, {"factor": 3}, {"factor": 9}, "up to 8"),
    ("resize", {"power_of_two": True}, resize, {"factor": 8}, {"factor": 3}, "power of two"),
    ("slicing", {"strides": "one"}, strided_slice, {}, {"strides": (1, 2, 1, 1)}, "[1, 2, 1, 1]"),
    (
        "slicing",
        {"strides": "spatial"},
        strided_slice,
        {"strides": (1, 2, 2, 1)},
        {"strides": (1, 1, 1, 2)},
        "only in height and width",
    ),
    ("slicing", {"masks": False}, strided_slice, {}, {"newAxisMask": 1}, "new axis"),
    ("slicing", {"shrink_axis": False}, strided_slice, {}, {"shrinkAxisMask": 1}, "removes"),
    ("max_batch", 1, unary, {}, {"shape": (2, 8)}, "batch of 2"),
    ("same_scale", True, maximum, {}, {"scales": (0.25,)}, "unlike its output"),
    ("same_scale", False, maximum, {"scales": (0.25,)}, None, ""),
    ("same_type", True, unary, {}, None, ""),
    ("same_type", True, quantize, {}, {"source": "float32"}, "float32 and int8"),
    ("alpha_per_channel", True, prelu, {}, {"alpha": (4, 4, 8)}, "[4, 4, 8]"),
    ("max_elements", 128, unary, {}, {"shape": (1, 129)}, "129 elements"),
    ("max_area", 16, unary, {}, {"shape": (1, 5, 4, 8)}, "5x4 positions"),
    ("max_area", 16, unary, {"shape": (16, 8)}, None, ""),
    ("transposed_stride", [[2, 2]], transposed, {}, {"stride": (3, 3)}, "stride 3x3"),
    (
        "transposed_stride",
        [[2, 2]],
        transposed,
        {"stride": (2, 1), "source": (4, 1), "kernel": (2, 1), "out": (8, 1)},
        {"stride": (2, 1)},
        "stride 2x1",
    ),
    ("transposed_shape", True, transposed, {}, {"out": (7, 7)}, "[8, 8]"),
    (
        "transposed_shape",
        True,
        transposed,
        {"padding": "VALID", "kernel": (3, 3), "out": (9, 9)},
        {"padding": "VALID", "kernel": (3, 3), "out": (8, 8)},
        "[9, 9]",
    ),
    ("transposed_area", 64, unary, {}, {"shape": (1, 16, 16, 8)}, "product"),
    ("scale_ratio", [0.5, 2.0], unary, {}, {"scales": (0.125,)}, "ratio of scales of 4"),
    ("gather_batch", True, gather, {}, {"axis": 1}, "axis 1 and batch_dims 0"),
    ("plain_lstm", True, lstm, {}, {"peephole": True}, "peepholes"),
    ("plain_lstm", True, lstm, {}, {"projection": True}, "a projection"),
    ("plain_lstm", True, lstm, {}, {"coupled": True}, "couples"),
    ("concatenated_constant", "zeros", concat, {}, {"constants": 1, "value": 1}, "not all zero"),
    (
        "concatenated_constant",
        "zeros",
        concat,
        {"constants": 1, "value": -3, "zero_point": -3},
        {"constants": 1, "inputs": 3},
        "among 3 inputs",
    ),
    ("weights_format", ["DEFAULT"], dense, {}, {"weights_format": 1}, "SHUFFLED4x16INT8"),
]
CONV_CASES = [
    ("max_version", 3, {}, {"version": 6}, "version 6 (known: up to 3)"),
    ("activations", ["NONE"], {}, {"activation": "RELU"}, "RELU fused"),
    ("equal_dilation", True, {"dilation": (2, 2)}, {"dilation": (2, 1)}, "dilation 2x1"),
    ("max_dilation", 1, {}, {"dilation": (2, 2)}, "no dilation"),
    ("max_stride", {"any": 3}, {"stride": 3}, {"stride": 4}, "stride 4x4"),
    (
        "max_stride",
        {"any": 3, "larger": "valid"},
        {"stride": 4, "padding": "VALID"},
        {"stride": 4, "padding": "VALID", "dilation": (2, 2)},
        "no dilation",
    ),
    ("weight_sum", {"int8": 4608}, {"weights": 127}, None, ""),
    ("weight_sum", {"int8": 1000}, {"weights": 27}, {"weights": -28}, "sum to 1,008"),
    ("weight_sum", {"int16": 1}, {}, None, ""),
]


@pytest.mark.parametrize(("name", "value", "fill", "kept", "broken", "words"), CASES)
def test_limit_tells_what_breaks_it(read_operator, name, value, fill, kept, broken, words):
    rule = limit(name, value)
    assert rule.problem(read_operator(fill, **kept)) is None
    if broken is not None and words is not None:
        assert words in rule.problem(read_operator(fill, **broken))


@pytest.mark.parametrize(("name", "value", "kept", "broken", "words"), CONV_CASES)
def test_limit_on_convolutions(read_operator, conv, name, value, kept, broken, words):
    rule = limit(name, value)
    assert rule.problem(read_operator(conv, **kept)) is None
    if broken is not None:
        assert words in rule.problem(read_operator(conv, **broken))


def test_every_limit_is_tested():
    assert {case[0] for case in CASES + CONV_CASES} == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [None, {"nonsense": 1}, [{}], 0, -1, 1.5, "nonsense"])
def test_limit_refuses_a_value_of_another_form(name, value):
    with pytest.raises(ValueError, match=r"\w") as caught:
        LIMITS[name](value)
    assert str(caught.value)


@pytest.mark.parametrize("case", [*CASES, *CONV_CASES], ids=lambda case: case[0])
def test_limit_describes_itself(case):
    described = limit(case[0], case[1]).describe()
    lifted = isinstance(case[1], bool) and not described
    assert lifted or (described and len(described) < 160)
