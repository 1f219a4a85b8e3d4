import random

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

import keras_compress as kc
from keras_compress.edge_profiles import profile
from keras_compress.errors import FlatbufferError
from keras_compress.tflite import flatbuffer, wellformed


def last(builder):
    return flatbuffer.read(builder.content([], [])).operators[-1]


def test_whole_network_is_well_formed(classifier):
    operators = flatbuffer.read(classifier()).operators
    assert [wellformed.problem(op) for op in operators] == [None] * len(operators)


def without_output(builder):
    builder.operator("RELU", [builder.tensor((1, 8))], [])


def without_input(builder):
    builder.operator("RELU", [-1], [builder.tensor((1, 8))])


def without_weights(builder):
    builder.operator("CONV_2D", [builder.tensor((1, 4, 4, 8))], [builder.tensor((1, 4, 4, 8))])


def flat_weights(builder):
    inputs = [builder.tensor((1, 8)), builder.tensor((8,), data=1)]
    builder.operator("FULLY_CONNECTED", inputs, [builder.tensor((1, 1))])


def flat_output(builder):
    inputs = [builder.tensor((1, 4, 4, 8)), builder.tensor((8, 1, 1, 8), data=1)]
    builder.operator("CONV_2D", inputs, [builder.tensor((1, 8))])


def empty_map(builder):
    inputs = [builder.tensor((1, 0, 4, 8)), builder.tensor((8, 1, 1, 8), data=1)]
    builder.operator("CONV_2D", inputs, [builder.tensor((1, 4, 4, 8))])


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (without_output, "has no output"),
        (without_input, "has no input"),
        (without_weights, "lacks its weights"),
        (flat_weights, "1 dimensions in its weights instead of 2"),
        (flat_output, "2 dimensions in its output instead of 4"),
        (empty_map, "no elements in its data"),
    ],
)
def test_operator_that_nothing_can_execute(new_builder, fill, words):
    builder = new_builder()
    fill(builder)
    assert words in wellformed.problem(last(builder))
    verdict = kc.check(builder.content([], []), "cortex_m4")
    assert verdict.verdict == "does_not_run"
    assert [finding.code for finding in verdict.findings] == ["malformed_operator"]
    assert words in verdict.findings[0].message


def damage(model, chance):
    """Change one thing of a file's graph at random."""
    graph = model.subgraphs[0]
    op, tensor = chance.choice(graph.operators), chance.choice(graph.tensors)
    kind = chance.randrange(6)
    if kind == 0:
        op.inputs = list(op.inputs)[: chance.randrange(3)]
    elif kind == 1:
        op.inputs = [chance.randrange(-1, len(graph.tensors)) for _ in op.inputs]
    elif kind == 2:
        op.outputs = [chance.randrange(len(graph.tensors)) for _ in range(chance.randrange(3))]
    elif kind == 3:
        tensor.shape = [chance.choice([0, 1, 2, 3, 8]) for _ in range(chance.randrange(6))]
    elif kind == 4:
        op.builtinOptions, op.builtinOptionsType = None, 0
    else:
        tensor.type = chance.choice(list(range(10)))


@pytest.mark.parametrize("seed", range(150))
def test_damaged_graph_gets_a_verdict_or_is_refused(classifier, with_island, seed):
    chance = random.Random(seed)
    content = chance.choice([classifier(), with_island])
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for _ in range(chance.randint(1, 3)):
        damage(model, chance)
    packer = flatbuffers.Builder(1024)
    packer.Finish(model.Pack(packer), b"TFL3")
    name = chance.choice(profile.profiles())
    try:
        verdict = kc.check(bytes(packer.Output()), name)
    except FlatbufferError:
        return
    assert verdict.verdict in ("runs", "runs_with_fallbacks", "does_not_run")
    assert str(verdict)


def reads_its_own_output(builder):
    state = builder.tensor((1, 8))
    builder.operator("ADD", [builder.tensor((1, 8)), state], [state])
    return [0], [0]


def reads_what_comes_later(builder):
    source, early, late = (builder.tensor((1, 8)) for _ in range(3))
    builder.operator("ADD", [source, late], [early])
    builder.operator("RELU", [source], [late])
    return [source], [early]


def writes_twice(builder):
    source, target = builder.tensor((1, 8)), builder.tensor((1, 8))
    builder.operator("RELU", [source], [target])
    builder.operator("RELU6", [source], [target])
    return [source], [target]


def calls_an_absent_subgraph(builder):
    source = builder.tensor((1, 8))
    builder.operator("CALL_ONCE", [], [], initSubgraphIndex=7)
    return [source], [source]


def calls_itself(builder):
    source = builder.tensor((1, 8))
    builder.operator("CALL_ONCE", [], [], initSubgraphIndex=1)
    builder.end_graph([source], [source])
    builder.operator("CALL_ONCE", [], [], initSubgraphIndex=1)
    return [], []


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (reads_its_own_output, "ADD reads its own output 'tensor_0'"),
        (reads_what_comes_later, "ADD reads 'tensor_2' before RELU writes it"),
        (writes_twice, "RELU6 writes 'tensor_1', which is written already"),
        (calls_an_absent_subgraph, "CALL_ONCE executes subgraph 7 of 1"),
        (calls_itself, "CALL_ONCE executes a subgraph that it is part of"),
    ],
)
def test_order_in_which_nothing_can_execute(builder, fill, words):
    verdict = kc.check(builder.content(*fill(builder)), "generic_int8")
    assert verdict.verdict == "does_not_run"
    assert [finding.code for finding in verdict.findings] == ["malformed_operator"]
    assert verdict.findings[0].message.startswith(words)
