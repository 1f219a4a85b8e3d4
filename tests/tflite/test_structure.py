from keras_compress.tflite import flatbuffer, structure
from keras_compress.tflite.structure import Kind


def graph_of(content):
    return flatbuffer.read(content).subgraphs[0]


def test_integer_float_and_dynamic_range(classifier):
    kinds = {
        Kind.INTEGER: classifier(),
        Kind.FLOAT: classifier(dtype="float32"),
        Kind.DYNAMIC_RANGE: classifier(dtype="float32", weight_dtype="int8"),
    }
    for kind, content in kinds.items():
        found = structure.read(graph_of(content))
        assert (found.kind, found.islands, found.boundary) == (kind, (), frozenset())


def test_island_has_its_quantize_and_dequantize(with_island):
    found = structure.read(graph_of(with_island))
    assert found.kind is Kind.INTEGER
    assert [[op.name for op in island] for island in found.islands] == [
        ["DEQUANTIZE", "ELU", "QUANTIZE"]
    ]


def test_two_islands_are_two(new_builder, conv):
    builder = new_builder()
    source, last = conv(builder)
    for _ in range(2):
        raw = builder.tensor((1, 8, 8, 8), "float32")
        made = builder.tensor((1, 8, 8, 8), "float32")
        back, last = builder.tensor((1, 8, 8, 8)), last
        builder.operator("DEQUANTIZE", [last], [raw])
        builder.operator("NEG", [raw], [made])
        builder.operator("QUANTIZE", [made], [back])
        last = builder.tensor((1, 8, 8, 8))
        builder.operator("RELU", [back], [last])
    islands = structure.read(graph_of(builder.content([source], [last]))).islands
    assert [len(island) for island in islands] == [3, 3]


def test_float_inputs_and_outputs_are_a_boundary_and_no_island(new_builder, conv):
    builder = new_builder()
    fed = builder.tensor((1, 8, 8, 4), "float32")
    source, features = conv(builder)
    handed = builder.tensor((1, 8, 8, 8), "float32")
    builder.operator("QUANTIZE", [fed], [source])
    builder.operator("DEQUANTIZE", [features], [handed])
    found = structure.read(graph_of(builder.content([fed], [handed])))
    assert (found.kind, found.islands, found.boundary) == (Kind.INTEGER, (), {1, 2})


def shape_chain(builder, reader):
    """SHAPE, STRIDED_SLICE and PACK, whose result `reader` takes."""
    source = builder.tensor((1, 4, 4, 8))
    shape, batch = (builder.tensor(s, "int32", scales=()) for s in ((4,), ()))
    packed = builder.tensor((2,), "int32", scales=())
    ends = [builder.tensor((1,), "int32", data=v, scales=()) for v in (0, 1, 1)]
    rest = builder.tensor((), "int32", data=128, scales=())
    flat = builder.tensor((1, 128))
    builder.operator("SHAPE", [source], [shape])
    builder.operator("STRIDED_SLICE", [shape, *ends], [batch])
    builder.operator("PACK", [batch, rest], [packed], valuesCount=2)
    builder.operator(reader, [source, packed], [flat])
    return builder.content([source], [flat])


def test_shape_chain_is_found_and_folds_into_a_reshape(new_builder):
    graph = graph_of(shape_chain(new_builder(), "RESHAPE"))
    assert structure.shape_operators(graph) == {0, 1, 2}
    assert structure.foldable_operators(graph) == {0, 1, 2}


def test_shape_chain_that_something_else_needs_stays(new_builder):
    graph = graph_of(shape_chain(new_builder(), "BROADCAST_TO"))
    assert structure.shape_operators(graph) == {0, 1, 2}
    assert structure.foldable_operators(graph) == frozenset()
