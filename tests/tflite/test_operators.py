"""The table of operators against the schema, TensorFlow's converter and LiteRT's quantizer."""

import ast
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_compress.errors import FlatbufferError
from keras_compress.tflite import flatbuffer, operators, wellformed
from keras_compress.tflite.model import DECODE
from keras_compress.tflite.operators import OperandRole

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_NAMES = {name for name in vars(schema.BuiltinOperator) if name.isupper()}
NETWORKS = sorted((ROOT / "tests/fixtures/networks").glob("*.tflite"))
# What each operator below was told, by the role of the input that must hold it.
TOLD = {
    "ARG_MAX": {OperandRole.AXES: 3},
    "ARG_MIN": {OperandRole.AXES: 2},
    "BATCH_TO_SPACE_ND": {OperandRole.BLOCK_SHAPE: [2, 1], OperandRole.CROPS: [[1, 0], [0, 2]]},
    "BROADCAST_TO": {OperandRole.SHAPE: [2, 3, 4, 6, 8]},
    "CUMSUM": {OperandRole.AXES: 2},
    "GATHER": {OperandRole.INDICES: [1, 0]},
    "GATHER_ND": {OperandRole.INDICES: [[0, 1], [1, 2]]},
    "MEAN": {OperandRole.AXES: [1, 2]},
    "MIRROR_PAD": {OperandRole.PADDINGS: [[0, 0], [1, 2], [3, 1], [0, 0]]},
    "PAD": {OperandRole.PADDINGS: [[0, 0], [1, 2], [3, 4], [0, 0]]},
    "PADV2": {
        OperandRole.PADDINGS: [[0, 0], [1, 2], [3, 4], [0, 0]],
        OperandRole.PADDING_VALUE: 7.0,
    },
    "REDUCE_ALL": {OperandRole.AXES: [1]},
    "REDUCE_ANY": {OperandRole.AXES: [2]},
    "REDUCE_MAX": {OperandRole.AXES: [2]},
    "REDUCE_MIN": {OperandRole.AXES: [3]},
    "REDUCE_PROD": {OperandRole.AXES: [1]},
    "RESHAPE": {OperandRole.SHAPE: [3, 4, 48]},
    "RESIZE_BILINEAR": {OperandRole.SIZE: [9, 11]},
    "RESIZE_NEAREST_NEIGHBOR": {OperandRole.SIZE: [9, 11]},
    "REVERSE_V2": {OperandRole.AXES: [2]},
    "SLICE": {OperandRole.BEGIN: [1, 0, 2, 3], OperandRole.SIZE: [2, 3, 2, 4]},
    "SPACE_TO_BATCH_ND": {
        OperandRole.BLOCK_SHAPE: [2, 3],
        OperandRole.SPATIAL_PADDINGS: [[1, 1], [0, 3]],
    },
    "SPLIT": {OperandRole.AXES: 3},
    "SPLIT_V": {OperandRole.SIZE: [1, 5], OperandRole.AXES: 2},
    "STRIDED_SLICE": {
        OperandRole.BEGIN: [0, 1, 0, 0],
        OperandRole.END: [3, 4, 6, 8],
        OperandRole.STRIDES: [1, 2, 3, 1],
    },
    "SUM": {OperandRole.AXES: [1, 3]},
    "TILE": {OperandRole.MULTIPLES: [1, 2, 3, 1]},
    "TOPK_V2": {OperandRole.COUNT: 3},
    "TRANSPOSE": {OperandRole.PERMUTATION: [0, 3, 1, 2]},
    "TRANSPOSE_CONV": {OperandRole.SHAPE: [3, 8, 12, 5]},
}


def told_operations(tf, x):
    """Compute with an input of shape (3, 4, 6, 8) what `TOLD` says."""
    padding = [[0, 0], [1, 2], [3, 4], [0, 0]]
    kernel = tf.constant(np.linspace(-1, 1, 2 * 2 * 5 * 8).reshape(2, 2, 5, 8), tf.float32)
    return [
        tf.argmax(x, 3),
        tf.argmin(x, 2),
        tf.batch_to_space(tf.concat([x, x], 0), [2, 1], [[1, 0], [0, 2]]),
        tf.broadcast_to(x, [2, 3, 4, 6, 8]),
        tf.cumsum(x, 2),
        tf.gather(x, [1, 0], axis=2),
        tf.gather_nd(x, [[0, 1], [1, 2]]),
        tf.reduce_mean(x, [1, 2]),
        tf.pad(x, [[0, 0], [1, 2], [3, 1], [0, 0]], "REFLECT"),
        tf.pad(x, padding),
        tf.pad(x, padding, constant_values=7.0),
        tf.reduce_all(x > 0, [1]),
        tf.reduce_any(x > 0, [2]),
        tf.reduce_max(x, [2]),
        tf.reduce_min(x, [3]),
        tf.reduce_prod(x, [1]),
        tf.reshape(x, [3, 4, 48]),
        tf.compat.v1.image.resize_bilinear(x, [9, 11]),
        tf.compat.v1.image.resize_nearest_neighbor(x, [9, 11]),
        tf.reverse(x, [2]),
        tf.slice(x, [1, 0, 2, 3], [2, 3, 2, 4]),
        tf.space_to_batch(x, [2, 3], [[1, 1], [0, 3]]),
        *tf.split(x, 2, 3),
        *tf.split(x, [1, 5], 2),
        tf.strided_slice(x, [0, 1, 0, 0], [3, 4, 6, 8], [1, 2, 3, 1]),
        tf.reduce_sum(x, [1, 3]),
        tf.tile(x, [1, 2, 3, 1]),
        tf.math.top_k(x, 3)[0],
        tf.transpose(x, [0, 3, 1, 2]),
        tf.nn.conv2d_transpose(x, kernel, [3, 8, 12, 5], 2),
    ]


@pytest.fixture(scope="module")
def told():
    """The operators that TensorFlow's converter writes for `told_operations`, by name."""
    tf = pytest.importorskip("tensorflow")
    signature = tf.TensorSpec((3, 4, 6, 8), tf.float32)
    function = tf.function(lambda x: told_operations(tf, x), input_signature=[signature])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], function
    )
    return {op.name: op for op in flatbuffer.read(converter.convert()).operators}


@pytest.mark.parametrize("name", TOLD)
def test_parameters_stand_where_tensorflow_puts_them(told, name):
    for role, values in TOLD[name].items():
        assert role.is_parameter or role is OperandRole.PADDING_VALUE
        np.testing.assert_array_equal(operators.operand(told[name], role).data, values)


def test_data_are_what_is_computed(told):
    graph_input = told["PAD"].inputs[0]
    for name in TOLD.keys() - {"BATCH_TO_SPACE_ND", "REDUCE_ALL", "REDUCE_ANY"}:
        assert operators.data(told[name]) is graph_input
        assert operators.feature_maps(told[name]) == (graph_input, *told[name].outputs)


def test_every_parameter_is_told():
    """So that a position that is wrong in the table fails."""
    parameters = {
        name
        for name in operators.names()
        if any(operand.role.is_parameter for operand in operators.row(name).inputs)
    }
    assert parameters == {*TOLD, *(name for name, *_ in COMPUTED if "RNN" not in name)}


# Operator, what it is given by role, and what follows; the converter does not write these here.
COMPUTED = [
    (
        "EMBEDDING_LOOKUP",
        {
            OperandRole.INDICES: np.int32([2, 0]),
            OperandRole.DATA: np.float32([[1, 2], [3, 4], [5, 6]]),
        },
        [[5, 6], [1, 2]],
    ),
    (
        "EXPAND_DIMS",
        {OperandRole.DATA: np.float32([[1, 2, 3]]), OperandRole.NEW_AXIS: np.int32(1)},
        [[[1, 2, 3]]],
    ),
    (
        "FILL",
        {OperandRole.SHAPE: np.int32([2, 1]), OperandRole.DATA: np.float32(7)},
        [[7], [7]],
    ),
    (
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        {
            OperandRole.DATA: np.float32([[[1, 2]]]),
            OperandRole.INPUT_WEIGHTS: np.float32([[1, 10]]),
            OperandRole.RECURRENT_WEIGHTS: np.float32([[0.5]]),
            OperandRole.BIAS: np.float32([100]),
            OperandRole.STATE: np.float32([[0]]),
        },
        [[[121]]],
    ),
]


@pytest.mark.parametrize(("name", "given", "expected"), COMPUTED)
def test_litert_computes_with_inputs_in_the_order_of_the_row(builder, name, given, expected):
    from ai_edge_litert.interpreter import Interpreter

    fed = builder.tensor(given[OperandRole.DATA].shape, "float32")
    places = {OperandRole.DATA: fed}
    for role, array in given.items():
        if role is OperandRole.STATE:
            places[role] = builder.tensor(array.shape, "float32", is_variable=True)
        elif role is not OperandRole.DATA:
            places[role] = builder.tensor(array.shape, str(array.dtype), data=array, scales=())
    output = builder.tensor(np.shape(expected), "float32")
    inputs = [places[operand.role] for operand in operators.row(name).inputs]
    builder.operator(name, inputs, [output])
    interpreter = Interpreter(model_content=builder.content([fed], [output]))
    interpreter.allocate_tensors()
    interpreter.set_tensor(fed, given[OperandRole.DATA])
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(output), expected)


def test_inputs_that_may_hold_weights():
    trained = {
        name: tuple(i for i, operand in enumerate(row.inputs) if operand.is_trained)
        for name, row in ((name, operators.row(name)) for name in operators.names())
    }
    assert {name: places for name, places in trained.items() if places} == {
        "BATCH_MATMUL": (0, 1),
        "CONV_2D": (1,),
        "CONV_3D": (1,),
        "DENSIFY": (0,),
        "DEPTHWISE_CONV_2D": (1,),
        "DEQUANTIZE": (0,),
        "EMBEDDING_LOOKUP": (1,),
        "FULLY_CONNECTED": (1,),
        "GATHER": (0,),
        "SVDF": (1, 2),
        "TRANSPOSE_CONV": (1,),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 12), 16),
        "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
    }


def test_names_are_those_of_the_schema():
    assert set(operators.names()) <= SCHEMA_NAMES | {DECODE}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AVERAGE_POOL_2D", schema.Pool2DOptions),
        ("MAX_POOL_2D", schema.Pool2DOptions),
        ("TRANSPOSE_CONV", schema.TransposeConvOptions),
    ],
)
def test_options_are_those_of_the_schema(name, options):
    needed = operators.row(name).options
    assert needed
    for option in needed:
        assert callable(getattr(options, option.title().replace("_", "")))


def test_convolutions_over_height_and_width():
    convolutions = {name for name in operators.names() if operators.row(name).is_convolution_2d}
    assert convolutions == {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}


def test_operators_with_options_are_tested():
    assert {name for name in operators.names() if operators.row(name).options} == {
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "TRANSPOSE_CONV",
    }


def test_channel_axes_are_those_of_litert():
    utils = pytest.importorskip("ai_edge_quantizer.utils.tfl_flatbuffer_utils")
    codes = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    axes = {
        codes[utils.TFL_OP_NAME_TO_CODE[name]]: axis
        for name, axis in utils.TFL_OP_TO_WEIGHT_QUANTIZED_DIM.items()
    }
    # The rows of an embedding have scales, and are no output channels.
    axes.pop("EMBEDDING_LOOKUP")
    assert axes == {name: operators.row(name).channel_axis for name in axes}
    with_kernel = {name for name in operators.names() if operators.row(name).has_integer_weights}
    assert with_kernel == set(axes)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_roles_in_converted_networks(path):
    """Weights are stored, biases have one value a channel, scales lie on the channel axis."""
    weighted = [op for op in flatbuffer.read(path).operators if operators.weights(op)]
    assert weighted
    for op in weighted:
        weights, bias = operators.weights(op), operators.bias(op)
        axis = operators.row(op.name).channel_axis
        assert weights.is_constant and not operators.data(op).is_constant
        assert weights.shape[axis] == op.outputs[0].shape[-1]
        assert bias is None or (bias.dtype == "int32" and bias.shape == (weights.shape[axis],))
        assert weights.axis in (None, axis)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_parameters_of_converted_networks_are_unquantized_constants(path):
    for op in flatbuffer.read(path).operators:
        for operand, tensor in operators.inputs(op):
            if operand.role.is_parameter:
                assert tensor.is_constant and not tensor.scales.size


@pytest.mark.parametrize("name", sorted(set(operators.names()) & SCHEMA_NAMES))
def test_operator_without_a_required_input_is_malformed(read_operator, name):
    row = operators.row(name)

    def fill(builder, absent=None):
        inputs = [
            -1 if position == absent else builder.tensor((1,) * (operand.rank or 2))
            for position, operand in enumerate(row.inputs)
        ]
        outputs = [builder.tensor((1,) * (row.output_rank or 2))] if row.has_output else []
        builder.operator(name, inputs, outputs, **options)

    options = {"strideH": 1, "strideW": 1} if name == "TRANSPOSE_CONV" else {}
    options = {"filterHeight": 1, "filterWidth": 1} if "POOL" in name else options
    assert wellformed.problem(read_operator(fill)) is None
    for position, operand in enumerate(row.inputs):
        words = wellformed.problem(read_operator(fill, absent=position))
        lacks = len(row.inputs) > 1 and not operand.is_optional
        assert (words == f"lacks its {operand.role.replace('_', ' ')}") is lacks


def test_a_required_input_that_is_absent_is_refused_by_its_role(read_operator):
    def fill(builder):
        inputs = [builder.tensor((1, 4, 4, 2)), -1]
        builder.operator("CONV_2D", inputs, [builder.tensor((1, 4, 4, 2))], strideH=1, strideW=1)

    op = read_operator(fill)
    assert operators.required(op, OperandRole.DATA) is op.inputs[0]
    with pytest.raises(FlatbufferError, match="A CONV_2D must have an input of the role 'weights'"):
        operators.required(op, OperandRole.WEIGHTS)


def test_inputs_of_an_unknown_operator_are_data(read_operator):
    def fill(builder):
        made = [builder.tensor((1, 8), data=constant) for constant in (None, 1, None)]
        builder.operator("CONCATENATION", [*made, -1], [builder.tensor((1, 24))])

    op = read_operator(fill)
    assert operators.operands(op, OperandRole.DATA) == op.inputs
    assert operators.feature_maps(op) == (op.inputs[0], op.inputs[2], *op.outputs)
    assert operators.weights(op) is operators.bias(op) is None


def test_inputs_of_decode_come_in_pairs():
    row = operators.row(DECODE)
    assert [row.at(place).role for place in range(4)] == ["encoded", "ancillary"] * 2


def test_lstm_has_the_inputs_of_the_kernel(read_operator):
    """Four gates by input and recurrent weights, three peepholes, four biases, and so on."""

    def fill(builder):
        inputs = [builder.tensor((1, 5, 4)), *(builder.tensor((6, 4), data=1) for _ in range(23))]
        builder.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [builder.tensor((1, 5, 6))])

    op = read_operator(fill)
    assert [len(operators.operands(op, role)) for role in OperandRole if "weights" in role] == [
        0,
        4,
        4,
        3,
        1,
        0,
        0,
    ]
    assert [t.index for t in operators.operands(op, OperandRole.STATE)] == [18, 19]
    assert [t.index for t in operators.operands(op, OperandRole.BIAS)] == [12, 13, 14, 15]


# `inputs` of a call in a Keras model, or of a whole model or file, not of a TFLite operator.
KERAS_CALLS = (
    "converters/export.py",
    "converters/rewrites/",
    "keras_compress/analysis/bit_assignment.py",
    "keras_compress/analysis/intermediate_outputs.py",
    "keras_compress/compression/",
    "keras_compress/distilling/",
    "keras_compress/lowering/",
    "keras_compress/post_training/",
    "keras_compress/shrinking/",
)
TABLE = "keras_compress/tflite/operators.py"
WHOLE_FILES = ("graph", "model", "self")


def _sources():
    for folder in ("keras_compress", "converters", "edge_profiles"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith((TABLE, *KERAS_CALLS)):
                yield name, ast.parse(path.read_text())


def _numbers(node):
    """Yield the whole numbers that are written in a piece of source."""
    constants = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return (value for value in constants if type(value) is int)


def _is_position_of_an_input(node):
    """Whether it is `operator.inputs[1]`, `op.inputs[1:9]`, `operand(op, 1)` or such."""
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
        called = called.id if isinstance(called, ast.Name) else called
        return called in ("operand", "operands") and any(
            type(getattr(argument, "value", None)) is int for argument in node.args
        )
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Attribute):
        return False
    owner = node.value.value
    owner = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return (
        node.value.attr == "inputs" and owner not in WHOLE_FILES and bool([*_numbers(node.slice)])
    )


def _maps_operators_to_numbers(node):
    """Whether it is a dict such as `{"CONV_2D": 1}` or `{"CONV_2D": (0, 1, 2)}`."""
    if not isinstance(node, ast.Dict):
        return False
    return any(
        isinstance(key, ast.Constant) and key.value in SCHEMA_NAMES and [*_numbers(value)]
        for key, value in zip(node.keys, node.values, strict=True)
    )


def test_no_position_of_an_input_stands_outside_the_table():
    found = [
        f"{name}:{node.lineno}"
        for name, tree in _sources()
        for node in ast.walk(tree)
        if _is_position_of_an_input(node) or _maps_operators_to_numbers(node)
    ]
    assert not found, "ask keras_compress.tflite.operators by role instead"


@pytest.mark.parametrize(
    "source",
    [
        "op.inputs[0].size",
        "op.inputs[1].size",
        "operator.inputs[1:9]",
        "operands.operand(op, 2)",
        "op.inputs[-1]",
    ],
)
def test_the_search_finds_positions(source):
    assert any(_is_position_of_an_input(node) for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("source", ['{"CONV_2D": 1}', '{"CONV_2D": ((0, 1), None)}'])
def test_the_search_finds_tables(source):
    assert any(_maps_operators_to_numbers(node) for node in ast.walk(ast.parse(source)))
