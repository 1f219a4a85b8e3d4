import types

import numpy as np
import pytest

from keras_compress.converters import verification
from keras_compress.converters.options import ConversionOptions
from keras_compress.converters.promises import ExpectedZeros
from keras_compress.errors import ConversionError
from keras_compress.support import plugins
from keras_compress.support.findings import Finding


def _verify(content, zeros=(), **options):
    emitted = verification.read_back(content, ConversionOptions(**options), zeros=zeros)
    return verification.verify(emitted)


@pytest.fixture
def dense(handmade):
    """Write a file of one Dense layer, `fc`, that holds every promise but those changed."""

    def write(name="FULLY_CONNECTED", weights=None, bias=None, data=None, output=None):
        values = np.array([[1, 0, -127], [0, 0, 127]], np.int8)
        tensors = [
            {"name": "x", "shape": [1, 3], "type": "INT8", "scale": [0.5], "zero_point": [3]},
            {"name": "fc/MatMul", "shape": [2, 3], "type": "INT8", "data": values.tobytes()}
            | {"scale": [0.25, 0.5], "zero_point": [0, 0], "axis": 0},
            {"name": "fc/BiasAdd", "shape": [2], "type": "INT32"}
            | {"data": np.array([7, -7], np.int32).tobytes()}
            | {"scale": [0.125, 0.25], "zero_point": [0, 0], "axis": 0},
            {"name": "fc/Add", "shape": [1, 2], "type": "INT8", "scale": [1], "zero_point": [0]},
        ]
        for tensor, changes in zip(tensors, (data, weights, bias, output), strict=True):
            tensor.update(changes or {})
        return handmade(tensors, [(name, [0, 1, 2], [3], None)], [0], [3])

    return write


def _codes(findings):
    return {finding.code for finding in findings}


def test_a_good_file_has_no_findings(dense, by_tensorflow):
    assert _verify(dense()) == []
    assert _verify(by_tensorflow.int8) == []
    int16 = {"mode": "int16x8", "input_type": "int16", "output_type": "int16"}
    assert _verify(by_tensorflow.int16x8, **int16) == []
    io = {"mode": "float32", "input_type": "float32", "output_type": "float32"}
    assert _verify(by_tensorflow.float32, **io) == []


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"weights": {"zero_point": [0, 4]}}, "asymmetric_weights", "other than 0: [4]"),
        ({"weights": {"scale": [0.25, np.inf]}}, "weight_scale", "not above 0"),
        ({"weights": {"scale": [0.25, 0.0]}}, "weight_scale", "not above 0"),
        (
            {"weights": {"data": np.array([[1, 0, -128], [0, 0, 127]], np.int8).tobytes()}},
            "wide_range",
            "-128",
        ),
        (
            {"weights": {"scale": [0.5], "zero_point": [0]}},
            "channel_axis",
            "1 weight scales on axis None, not 2 on 0",
        ),
        (
            {"weights": {"scale": [0.25] * 3, "zero_point": [0] * 3, "axis": 1}},
            "channel_axis",
            "3 weight scales on axis 1, not 2 on 0",
        ),
        ({"bias": {"scale": [0.125, 0.2501]}}, "bias_scale", "input scale x the weight scale"),
        ({"bias": {"zero_point": [0, 1]}}, "bias_scale", "input scale x the weight scale"),
        (
            {"bias": {"type": "INT16", "data": np.array([7, 7], np.int16).tobytes()}},
            "bias_type",
            "int16, not int32",
        ),
        ({"output": {"type": "UINT8"}}, "output_type", "'fc/Add' is uint8, not int8"),
        ({"data": {"type": "UINT8"}}, "input_type", "'x' is uint8, not int8"),
        ({"output": {"type": "FLOAT32"}}, "float_operator", "'fc'"),
    ],
)
def test_each_broken_promise_is_found(dense, changes, code, words):
    findings = _verify(dense(**changes))
    assert code in _codes(findings)
    (found,) = [finding for finding in findings if finding.code == code]
    assert words in str(found)
    if found.operator is not None:
        assert (found.operator, found.layer) == ("FULLY_CONNECTED", "fc")


def test_a_bias_of_zeros_fits_any_scale(dense):
    zeros = {"data": np.zeros(2, np.int32).tobytes(), "scale": [9, 9]}
    assert _verify(dense(bias=zeros)) == []


def test_dense_and_convolutions_have_rules_of_their_own(dense, by_tensorflow):
    (found,) = _verify(dense(), per_channel_dense=False)
    assert found.code == "channel_axis"
    assert _verify(dense(), per_channel=False) == []
    findings = _verify(by_tensorflow.int8, per_channel=False)
    assert {f.operator for f in findings} == {"CONV_2D", "DEPTHWISE_CONV_2D"}
    assert {"8 weight scales on axis 3, not 1" in str(f) for f in findings} == {True, False}


def test_a_depthwise_axis_that_is_wrong_is_found(handmade):
    tensors = [
        {"name": "x", "shape": [1, 4, 4, 2], "type": "INT8", "scale": [1], "zero_point": [0]},
        {"name": "dw/w", "shape": [1, 2, 2, 2], "type": "INT8", "data": bytes(range(8))}
        | {"scale": [1, 2], "zero_point": [0, 0], "axis": 1},
        {"name": "dw/y", "shape": [1, 3, 3, 2], "type": "INT8", "scale": [1], "zero_point": [0]},
    ]
    content = handmade(tensors, [("DEPTHWISE_CONV_2D", [0, 1], [2], None)], [0], [2])
    (found,) = _verify(content)
    assert found.code == "channel_axis" and "2 weight scales on axis 1, not 2 on 3" in str(found)


def _island(handmade, operator="ELU", edge="INT8"):
    quantized = {"shape": [2], "type": "INT8", "scale": [1], "zero_point": [0]}
    tensors = [
        {"name": "x", **quantized, "type": edge},
        {"name": "tfl.dequantize", "shape": [2], "type": "FLOAT32"},
        {"name": "bend/Elu", "shape": [2], "type": "FLOAT32"},
        {"name": "tfl.quantize", **quantized},
        {"name": "head/Abs", **quantized},
    ]
    operators = [
        ("DEQUANTIZE", [0], [1], None),
        (operator, [1], [2], None),
        ("QUANTIZE", [2], [3], None),
        ("ABS", [3], [4], None),
    ]
    return handmade(tensors, operators, [0], [4])


def test_an_island_is_one_finding(handmade):
    (found,) = _verify(_island(handmade))
    assert (found.code, found.operator, found.layer) == ("float_operator", "ELU", "bend")
    assert "leaky_relu" in found.fix and "allow_float=('bend',)" in found.fix


@pytest.mark.parametrize("name", ["bend", "ELU"])
def test_an_island_may_be_allowed(handmade, name):
    assert _verify(_island(handmade), allow_float=frozenset([name])) == []


def test_conversions_with_nothing_between_are_found(handmade):
    quantized = {"shape": [2], "type": "INT8", "scale": [1], "zero_point": [0]}
    tensors = [
        {"name": "x", **quantized},
        {"name": "tfl.dequantize", "shape": [2], "type": "FLOAT32"},
        {"name": "tfl.quantize", **quantized},
        {"name": "y/Abs", **quantized},
    ]
    operators = [
        ("DEQUANTIZE", [0], [1], None),
        ("QUANTIZE", [1], [2], None),
        ("ABS", [2], [3], None),
    ]
    findings = _verify(handmade(tensors, operators, [0], [3]))
    assert [(f.code, f.operator) for f in findings] == [
        ("stray_conversion", "DEQUANTIZE"),
        ("stray_conversion", "QUANTIZE"),
    ]


def test_requantization_between_integers_is_legal(handmade):
    quantized = {"shape": [2], "type": "INT8", "scale": [1], "zero_point": [0]}
    tensors = [{"name": "x", **quantized}, {"name": "y", **quantized, "scale": [2]}]
    assert _verify(handmade(tensors, [("QUANTIZE", [0], [1], None)], [0], [1])) == []


def test_float_edges_on_request(handmade):
    quantized = {"shape": [2], "type": "INT8", "scale": [1], "zero_point": [0]}
    tensors = [
        {"name": "x", "shape": [2], "type": "FLOAT32"},
        {"name": "q", **quantized},
        {"name": "y", "shape": [2], "type": "FLOAT32"},
    ]
    operators = [("QUANTIZE", [0], [1], None), ("DEQUANTIZE", [1], [2], None)]
    content = handmade(tensors, operators, [0], [2])
    assert _verify(content, input_type="float32", output_type="float32") == []
    assert _codes(_verify(content)) == {"input_type", "output_type"}


def test_a_float_tensor_that_nobody_uses_is_found(handmade):
    quantized = {"shape": [2], "type": "INT8", "scale": [1], "zero_point": [0]}
    tensors = [
        {"name": "x", **quantized},
        {"name": "y", **quantized},
        {"name": "left", "shape": [1], "type": "FLOAT32"},
    ]
    (found,) = _verify(handmade(tensors, [("ABS", [0], [1], None)], [0], [1]))
    assert found.code == "float_tensor" and "'left'" in found.message


def test_zeros_must_be_where_they_were(dense):
    stored = np.array([[False, True, False], [True, True, False]])
    assert _verify(dense(), [ExpectedZeros("fc", stored)]) == []
    moved = np.array([[True, False, False], [True, True, False]])
    (found,) = _verify(dense(), [ExpectedZeros("fc", moved)])
    assert found.code == "lost_zeros" and "1 of the 3 zeros" in found.message
    assert (found.operator, found.layer) == ("FULLY_CONNECTED", "fc")
    # Where the layout is not known, only their number can be compared.
    assert _verify(dense(), [ExpectedZeros("fc", moved, placed=False)]) == []
    (found,) = _verify(dense(), [ExpectedZeros("fc", np.full((2, 3), True), placed=False)])
    assert found.code == "lost_zeros"


def test_weights_that_cannot_be_found(dense):
    (found,) = _verify(dense(), [ExpectedZeros("other", np.full((2, 3), True))])
    assert found.code == "missing_weights" and found.layer == "other"


def test_a_zero_point_of_its_own_moves_zeros(dense):
    content = dense(weights={"zero_point": [5, 5]})
    found = _verify(content, [ExpectedZeros("fc", np.eye(2, 3, 1, dtype=bool))])
    assert "lost_zeros" in _codes(found)


def test_require_names_what_is_broken():
    verification.require([])
    findings = [
        Finding(code="c", operator="ELU", layer=f"l{i}", message=f"Layer l{i} is float. {'x' * 60}")
        for i in range(11)
    ]
    with pytest.raises(ConversionError, match="breaks 11 promises") as caught:
        verification.require(findings)
    assert caught.value.findings == tuple(findings)
    shown = str(caught.value).count("- Layer l")
    assert 2 < shown < 11 and f"and {11 - shown} more" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_every_check_is_found_by_its_file_name():
    names = plugins.names(verification.CHECKS)
    assert {"tensor_types", "weight_grids", "kept_zeros"} <= set(names)
    nothing = types.SimpleNamespace(
        model=types.SimpleNamespace(subgraphs=(), inputs=(), outputs=()),
        options=ConversionOptions(),
        layers=(),
        kernels=(),
        zeros=(),
        clustered=(),
        by_layer=dict,
        operators=lambda: iter(()),
        weighted=lambda: iter(()),
    )
    assert [plugins.get(verification.CHECKS, name)().run(nothing) for name in names] == [
        [] for _ in names
    ]
