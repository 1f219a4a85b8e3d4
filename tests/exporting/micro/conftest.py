"""Files of one weighted operator, written by hand: no converter, any scales, any weights."""

import numpy as np
import pytest

# Operator -> (input shape, weight shape, axis of the channels, output shape).
SHAPES = {
    "CONV_2D": ((1, 6, 6, 5), (12, 3, 3, 5), 0, (1, 4, 4, 12)),
    "DEPTHWISE_CONV_2D": ((1, 8, 8, 32), (1, 3, 3, 32), 3, (1, 6, 6, 32)),
    "FULLY_CONNECTED": ((1, 50), (20, 50), 0, (1, 20)),
    "TRANSPOSE_CONV": ((1, 5, 5, 7), (9, 3, 3, 7), 0, (1, 7, 7, 9)),
}


@pytest.fixture(scope="session")
def one_operator(handmade):
    """A function that writes a file of one operator with given int8 weights."""
    from ai_edge_litert import schema_py_generated as schema

    options = {
        "CONV_2D": lambda: schema.Conv2DOptionsT(
            padding=schema.Padding.VALID, strideW=1, strideH=1
        ),
        "DEPTHWISE_CONV_2D": lambda: schema.DepthwiseConv2DOptionsT(
            padding=schema.Padding.VALID, strideW=1, strideH=1, depthMultiplier=1
        ),
        "FULLY_CONNECTED": lambda: schema.FullyConnectedOptionsT(),
        "TRANSPOSE_CONV": lambda: schema.TransposeConvOptionsT(
            padding=schema.Padding.VALID, strideW=1, strideH=1
        ),
    }

    def write(name, weights, per_channel=True):
        input_shape, shape, axis, output_shape = SHAPES[name]
        assert weights.shape == shape
        channels = shape[axis] if per_channel else 1
        scales = np.linspace(0.01, 0.02, channels)
        quantized = {"type": "INT8", "scale": [0.1], "zero_point": [3]}
        bias_scales = {"scale": scales * 0.1, "zero_point": [0] * channels}
        bias = np.arange(shape[axis], dtype=np.int32) * 50
        tensors = [
            {"name": "x", "shape": input_shape, **quantized},
            {"name": "w", "shape": shape, "type": "INT8", "data": weights.tobytes(), "axis": axis}
            | {"scale": scales, "zero_point": [0] * channels},
            {"name": "b", "shape": [shape[axis]], "type": "INT32", "data": bias.tobytes()}
            | bias_scales,
            {
                "name": "y",
                "shape": output_shape,
                "type": "INT8",
                "scale": [0.4],
                "zero_point": [-5],
            },
        ]
        inputs = [0, 1, 2]
        if name == "TRANSPOSE_CONV":
            sizes = np.int32(output_shape).tobytes()
            tensors.append({"name": "sizes", "shape": [4], "type": "INT32", "data": sizes})
            inputs = [4, 1, 0, 2]
        return handmade(tensors, [(name, inputs, [3], options[name]())], [0], [3])

    return write


@pytest.fixture(scope="session")
def weights_of():
    """A function that draws int8 weights of an operator: pruned, clustered, or neither."""

    def draw(name, zeros=0.0, clusters=None):
        random = np.random.default_rng(5)
        shape = SHAPES[name][1]
        values = random.integers(-127, 128, shape, endpoint=False)
        if clusters is not None:
            levels = np.sort(random.choice(np.arange(-127, 128), clusters, replace=False))
            values = random.choice(levels, shape)
        return np.where(random.random(shape) < zeros, 0, values).astype(np.int8)

    return draw
