import random
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_compress.errors import FlatbufferError
from keras_compress.tflite import flatbuffer
from tests.fixtures.work import count_calls


@pytest.fixture(params=["float32", "int8", "int16x8"])
def content(request, by_tensorflow):
    return getattr(by_tensorflow, request.param)


def _interpreter(content):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    return interpreter


def test_tensors_equal_what_litert_reads(content):
    interpreter = _interpreter(content)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    model = flatbuffer.read(content)
    # LiteRT appends scratch tensors of its own to those of the file.
    assert set(range(len(model.tensors))) <= set(details)
    for tensor in model.tensors:
        detail = details[tensor.index]
        quantization = detail["quantization_parameters"]
        assert tensor.name == detail["name"]
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.shape_signature == tuple(detail["shape_signature"])
        assert tensor.dtype.numpy == np.dtype(detail["dtype"])
        np.testing.assert_array_equal(tensor.scales, quantization["scales"])
        np.testing.assert_array_equal(tensor.zero_points, quantization["zero_points"])
        if tensor.axis is not None:
            assert tensor.axis == quantization["quantized_dimension"]
        if tensor.is_constant:
            np.testing.assert_array_equal(tensor.data, interpreter.get_tensor(tensor.index))


def test_operators_equal_what_litert_reads(content):
    interpreter = _interpreter(content)
    model = flatbuffer.read(content)
    for operator, expected in zip(model.operators, interpreter._get_ops_details(), strict=True):
        assert operator.name == expected["op_name"]
        assert [-1 if t is None else t.index for t in operator.inputs] == list(expected["inputs"])
        assert [t.index for t in operator.outputs] == list(expected["outputs"])


def test_inputs_outputs_and_signature(content):
    interpreter = _interpreter(content)
    model = flatbuffer.read(content)
    assert [t.index for t in model.inputs] == [d["index"] for d in interpreter.get_input_details()]
    assert [t.index for t in model.outputs] == [
        d["index"] for d in interpreter.get_output_details()
    ]
    (signature,) = model.signatures
    assert signature.key == "serving_default"
    assert signature.inputs["image"] is model.inputs[0]
    assert list(signature.outputs.values()) == [model.outputs[0]]
    assert model.description == "MLIR Converted."
    assert "min_runtime_version" in model.metadata


def test_options_are_those_of_the_layers(by_tensorflow):
    model = flatbuffer.read(by_tensorflow.int8)
    stem, depthwise, _, _, strided = model.operators[:5]
    assert stem.options["padding"] == "SAME" and stem.activation == "RELU"
    assert depthwise.options["depth_multiplier"] == 1 and depthwise.activation == "RELU6"
    assert strided.options["padding"] == "VALID"
    assert (strided.options["stride_w"], strided.options["stride_h"]) == (2, 2)


def test_options_with_vectors_and_enumerations(handmade):
    from ai_edge_litert import schema_py_generated as schema

    tensors = [
        {"name": "a", "shape": [2, 3], "type": "FLOAT32"},
        {"name": "b", "shape": [6], "type": "FLOAT32"},
        {"name": "c", "shape": [6], "type": "INT8"},
    ]
    cast = schema.CastOptionsT(inDataType=0, outDataType=9)
    operators = [
        ("RESHAPE", [0, -1], [1], schema.ReshapeOptionsT(newShape=[6])),
        ("CAST", [1], [2], cast),
        ("RSQRT", [1], [1], None),
    ]
    model = flatbuffer.read(handmade(tensors, operators, [0], [2]))
    reshape, cast, rsqrt = model.operators
    assert reshape.options == {"new_shape": (6,)}
    assert reshape.inputs == (model.tensors[0], None)
    assert cast.options == {"in_data_type": "FLOAT32", "out_data_type": "INT8"}
    assert rsqrt.options == {} and rsqrt.activation == "NONE"


def test_producers_and_consumers(by_tensorflow):
    (graph,) = flatbuffer.read(by_tensorflow.int8).subgraphs
    stem, depthwise, pointwise, join = graph.operators[:4]
    skip = stem.outputs[0].index
    assert graph.producers[skip] is stem
    assert graph.consumers[skip] == (depthwise, join)
    assert graph.inputs[0].index not in graph.producers
    assert graph.producers[join.inputs[1].index] is pointwise


@pytest.mark.parametrize(
    ("kind", "packed", "values"),
    [
        ("INT4", bytes([0x1F, 0x87, 0x02]), [-1, 1, 7, -8, 2]),
        ("UINT4", bytes([0x1F, 0x87, 0x02]), [15, 1, 7, 8, 2]),
        ("INT2", bytes([0b11_10_01_00, 0b01]), [0, 1, -2, -1, 1]),
    ],
)
def test_narrow_integers_are_unpacked(handmade, kind, packed, values):
    model = flatbuffer.read(handmade([{"name": "w", "shape": [5], "type": kind, "data": packed}]))
    (tensor,) = model.tensors
    assert tensor.data.tolist() == values
    assert tensor.dtype == kind.lower() and tensor.dtype.is_integer


def test_int4_of_litert_quantizer_is_read_as_litert_reads_it(handmade):
    random_bytes = np.random.default_rng(0).integers(0, 256, 12, dtype=np.uint8).tobytes()
    tensors = [
        {"name": "w", "shape": [4, 6], "type": "INT4", "data": random_bytes}
        | {"scale": [0.5], "zero_point": [0]},
        {"name": "y", "shape": [4, 6], "type": "FLOAT32"},
    ]
    content = handmade(tensors, [("DEQUANTIZE", [0], [1], None)], [], [1])
    interpreter = _interpreter(content)
    interpreter.invoke()
    weights = flatbuffer.read(content).tensors[0]
    np.testing.assert_array_equal(weights.data * 0.5, interpreter.get_tensor(1))


def test_zeros_are_counted_against_the_zero_point_of_each_channel(handmade):
    tensors = [
        {"name": "w", "shape": [2, 3], "type": "INT8", "data": bytes([0, 1, 1, 0, 0, 1])}
        | {"scale": [0.5, 1.0], "zero_point": [0, 1], "axis": 0},
        {"name": "x", "shape": [3], "type": "INT8"},
        {"name": "f", "shape": [2], "type": "FLOAT32", "data": struct.pack("<2f", 0, 1)},
    ]
    weights, activation, floats = flatbuffer.read(handmade(tensors)).tensors
    assert weights.zeros == 2
    assert activation.zeros is None and activation.data is None
    assert floats.zeros == 1


def test_weights_are_views_of_the_file(by_tensorflow):
    model = flatbuffer.read(by_tensorflow.int8)
    whole = np.frombuffer(model.content, np.uint8)
    weights = [t for t in model.tensors if t.is_constant]
    assert weights
    assert all(np.shares_memory(t.data, whole) for t in weights)
    assert not any(t.data.flags.writeable for t in weights)


def test_several_subgraphs(handmade):
    tensors = [{"name": "x", "shape": [1], "type": "FLOAT32"}]
    model = flatbuffer.read(handmade(tensors, inputs=[0], outputs=[0], subgraphs=3))
    assert [graph.index for graph in model.subgraphs] == [0, 1, 2]
    assert len(model.float_tensors) == 3


def test_sources(by_tensorflow, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(by_tensorflow.int8)

    class Converted:
        content = by_tensorflow.int8

    sources = (path, str(path), bytearray(by_tensorflow.int8), Converted())
    assert {len(flatbuffer.read(source).operators) for source in sources} == {9}


def test_the_work_of_reading_grows_with_the_tensors_and_not_with_their_bytes(handmade):
    def work(count, columns):
        weights = [
            {"name": f"layer_{i}/kernel", "shape": [256, columns], "type": "INT8"}
            | {"data": bytes(256 * columns), "scale": [1.0] * 256, "zero_point": [0] * 256}
            for i in range(count)
        ]
        operators = [("FULLY_CONNECTED", [0, i], [0], None) for i in range(count)]
        content = handmade(weights, operators)
        return count_calls(lambda: [tensor.zeros for tensor in flatbuffer.read(content).tensors])

    work(1, 4)  # imports the schema
    assert work(200, 100) == work(200, 4)
    assert work(200, 4) <= 2.1 * work(100, 4)


def _npz(path):
    np.savez(path, x=np.zeros(3))


def _keras(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "")


def _saved_model(path):
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("empty.tflite", lambda p: p.write_bytes(b""), "an empty file"),
        ("short.tflite", lambda p: p.write_bytes(b"\x1c\0\0\0TFL"), "unknown kind"),
        ("zeros.tflite", lambda p: p.write_bytes(bytes(900)), "begin with zeros"),
        ("model.keras", _keras, "a Keras .keras model"),
        ("data.npz", _npz, "a NumPy .npz archive"),
        ("model.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n00"), "HDF5"),
        ("page.tflite", lambda p: p.write_text("<!DOCTYPE html>"), "a web page"),
        ("notes.tflite", lambda p: p.write_text("é" * 300), "plain text"),
        ("cut.zip", lambda p: p.write_bytes(b"PK\x03\x04rest"), "damaged zip"),
        ("saved", _saved_model, "a SavedModel folder"),
        ("folder", lambda p: p.mkdir(), "a folder"),
        ("absent.tflite", lambda p: None, "No such file"),
    ],
)
def test_what_is_no_flatbuffer_is_named(tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(FlatbufferError, match=words) as caught:
        flatbuffer.read(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [None, 3, ["a.tflite"], "nul\0.tflite"])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(FlatbufferError, match="Received"):
        flatbuffer.read(source)


def test_every_truncation_is_refused_or_read(by_tensorflow):
    """A cut that only drops trailing bytes which nothing refers to may still be read."""
    content = by_tensorflow.int8
    for length in range(0, len(content) - 64, 97):
        with pytest.raises(FlatbufferError):
            flatbuffer.read(content[:length])


def test_hostile_bytes_never_crash(by_tensorflow):
    rng = random.Random(11)
    whole = count_calls(lambda: flatbuffer.read(by_tensorflow.int8))
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(by_tensorflow.int8)
        for _ in range(rng.choice([1, 4, 32])):
            place = rng.randrange(0, len(damaged) - 4)
            if place in range(4, 8):
                continue
            value = rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32)])
            struct.pack_into("<I", damaged, place, value)
        assert count_calls(lambda content=damaged: outcomes.add(_read(content))) <= 3 * whole
    assert outcomes == {"refused", "read"}


def _read(damaged):
    try:
        model = flatbuffer.read(damaged)
    except FlatbufferError as error:
        assert "\n" not in str(error)
        return "refused"
    for tensor in model.tensors:
        assert tensor.data is None or tensor.data.nbytes <= 2 * len(damaged)
    return "read"


def test_one_vector_shared_by_many_tables_does_not_multiply(handmade):
    """N subgraphs that all point to one list of N tensors would be read for hours."""
    tensors = [{"name": f"t{i}", "shape": [1], "type": "INT8"} for i in range(1500)]
    content = bytearray(handmade(tensors))
    once = count_calls(lambda: flatbuffer.read(bytes(content)))
    from ai_edge_litert import schema_py_generated as schema

    root = schema.Model.GetRootAs(content, 0)
    graph = root.Subgraphs(0)._tab.Pos
    field = root._tab.Pos + root._tab.Offset(8)
    vector, many = len(content), 10_000
    content += struct.pack("<I", many) + bytes(4 * many)
    # Offsets are unsigned and lead forward only, so the graph is repeated behind the vector.
    graph += len(content) - 8
    content += handmade(tensors)[8:]
    for place in range(vector + 4, vector + 4 + 4 * many, 4):
        struct.pack_into("<I", content, place, graph - place)
    struct.pack_into("<I", content, field, vector - field)
    assert schema.Model.GetRootAs(content, 0).SubgraphsLength() == many

    def refused():
        with pytest.raises(FlatbufferError, match="more data than it holds"):
            flatbuffer.read(content)

    # Read to the end it would be `many` times the work of one subgraph.
    assert count_calls(refused) < many * once / 1000


def test_wrong_sizes_and_indices_are_named(handmade):
    short = [{"name": "kernel", "shape": [4], "type": "INT8", "data": b"abc"}]
    with pytest.raises(FlatbufferError, match="'kernel' of shape .4. needs 4 bytes of int8"):
        flatbuffer.read(handmade(short))
    scaled = [{"name": "k", "shape": [4], "type": "INT8", "scale": [1, 1], "zero_point": [0, 0]}]
    with pytest.raises(FlatbufferError, match="2 scales"):
        flatbuffer.read(handmade(scaled))
    negative = [{"name": "k", "shape": [-4], "type": "INT8"}]
    with pytest.raises(FlatbufferError, match="shape"):
        flatbuffer.read(handmade(negative))
    tensors = [{"name": "x", "shape": [1], "type": "INT8"}]
    with pytest.raises(FlatbufferError, match="names tensor 9 of 1"):
        flatbuffer.read(handmade(tensors, [("ABS", [9], [0], None)]))
    with pytest.raises(FlatbufferError, match="no subgraph"):
        flatbuffer.read(handmade(tensors, subgraphs=0))


def test_reading_imports_neither_tensorflow_nor_keras(by_tensorflow, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(by_tensorflow.int8)
    program = (
        "import sys; from keras_compress.tflite import flatbuffer, inspection;"
        "inspection.inspect(sys.argv[1]);"
        "print(sorted({'tensorflow', 'keras', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
