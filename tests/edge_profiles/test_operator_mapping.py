import pytest

from keras_compress.edge_profiles import operator_mapping, profile
from keras_compress.edge_profiles.operator_mapping import Where
from keras_compress.tflite import flatbuffer


def mapped(content, target):
    graph = flatbuffer.read(content).subgraphs[0]
    return operator_mapping.map_operators(graph, profile.get(target))


def where(content, target):
    return [str(mapping.where) for mapping in mapped(content, target)]


@pytest.mark.parametrize("name", [n for n in profile.profiles() if n not in ("generic_int16x8",)])
def test_plain_integer_network_runs_on_every_engine(classifier, name):
    mappings = mapped(classifier(), name)
    assert {m.where for m in mappings} == {Where.ENGINE}, mappings
    assert {m.runs_on for m in mappings} == {profile.get(name).engine}
    assert sum(m.macs for m in mappings) == 8 * 8 * 8 * 3 * 3 * 4 + 10 * 128


def test_fallback_chain_tflite_micro_behind_ethos(with_island):
    mappings = mapped(with_island, "ethos_u55_128")
    assert [str(m.where) for m in mappings] == ["engine", *["fallback"] * 3, "engine"]
    assert {m.runs_on for m in mappings[1:4]} == {"CPU (TFLite Micro)"}
    assert mappings[2].reasons == (
        ("types", "works on float32 (taken: int8)"),
        *mappings[2].reasons[1:],
    )


def test_operator_that_neither_engine_nor_processor_takes(new_builder):
    builder = new_builder()
    source, target = builder.tensor((1, 8), "float32"), builder.tensor((1, 8), "float32")
    builder.operator("GELU", [source], [target])
    content = builder.content([source], [target])
    assert where(content, "ethos_u55_128") == ["nowhere"]
    assert where(content, "cortex_m4") == ["nowhere"]
    assert where(content, "coral_edgetpu") == ["fallback"]
    assert where(content, "android_cpu") == ["engine"]


def two_heads(builder, conv):
    """A graph in which one of two branches begins with an operator that no Edge TPU takes."""
    source, features = conv(builder)
    made = [builder.tensor((1, 8, 8, 8)) for _ in range(4)]
    builder.operator("GELU", [features], [made[0]])
    builder.operator("RELU", [features], [made[1]])
    builder.operator("RELU6", [made[0]], [made[2]])
    builder.operator("LOGISTIC", [made[1]], [made[3]])
    return builder.content([source], [made[2], made[3]])


def test_one_subgraph_stops_behind_the_first_break_and_only_there(new_builder, conv):
    mappings = mapped(two_heads(new_builder(), conv), "coral_edgetpu")
    found = [(m.operator.name, str(m.where)) for m in mappings]
    assert found == [
        ("CONV_2D", "engine"),
        ("GELU", "fallback"),
        ("RELU", "engine"),
        ("RELU6", "fallback"),
        ("LOGISTIC", "engine"),
    ]
    assert mappings[3].reasons[0][0] == "behind"


def test_quantize_at_the_input_does_not_stop_the_mapping(new_builder, conv):
    builder = new_builder()
    fed = builder.tensor((1, 8, 8, 4), "float32")
    source, features = conv(builder)
    builder.operator("QUANTIZE", [fed], [source])
    builder._operators.reverse()
    assert where(builder.content([fed], [features]), "coral_edgetpu") == ["fallback", "engine"]


def test_custom_operator_runs_only_where_the_table_names_it(new_builder):
    builder = new_builder()
    source, target = builder.tensor((1, 8)), builder.tensor((1, 8))
    builder.operator("ethos-u", [source], [target])
    content = builder.content([source], [target])
    assert where(content, "ethos_u55_128") == ["engine"]
    assert where(content, "cortex_m4") == ["nowhere"]
    assert where(content, "android_cpu") == ["nowhere"]
    assert where(content, "generic_int8") == ["nowhere"]


def test_fast_kernels_by_library(classifier, new_builder, conv):
    wide = mapped(classifier(dtype="int16"), "esp32s3")
    assert not any(m.optimized for m in wide)
    assert all(m.optimized for m in mapped(classifier(), "esp32s3") if m.operator.name != "RESHAPE")
    assert not any(m.optimized for m in mapped(classifier(), "rp2040"))
    builder = new_builder()
    source, output = conv(builder, dilation=(2, 2))
    assert not mapped(builder.content([source], [output]), "esp32s3")[0].optimized


def test_operator_that_makes_a_compiler_refuse_the_file(new_builder):
    for dtype, expected in (("int8", "engine"), ("float32", "nowhere")):
        builder = new_builder()
        source, target = builder.tensor((1, 8), dtype), builder.tensor((1, 8), dtype)
        builder.operator("HARD_SWISH", [source], [target])
        assert where(builder.content([source], [target]), "ethos_u65") == [expected]
