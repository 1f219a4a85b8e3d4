"""Metadata for MediaPipe Tasks. MediaPipe itself reads it in tests/benchmarks."""

import io
import zipfile

import flatbuffers
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation import runtimes
from keras_compress.exporting.android import add_metadata
from keras_compress.tflite import flatbuffer

QUANTIZED = {
    "UINT8": {"scale": [0.5], "zero_point": [0]},
    "INT8": {"scale": [0.5], "zero_point": [0]},
}


def mean_colour(handmade, kind, shape=(1, 4, 4, 3), out=None, data_type=None):
    """A file that answers with an image's mean colour."""
    from ai_edge_litert import schema_py_generated as schema

    axes = np.array([1, 2], np.int32)
    extra = QUANTIZED.get(kind, {})
    tensors = [
        {"name": "image", "shape": shape, "type": kind, **extra},
        {"name": "axes", "shape": (2,), "type": "INT32", "data": axes.tobytes()},
        {"name": "score", "shape": out or (1, shape[-1]), "type": kind, **extra},
    ]
    operators = [("MEAN", [0, 1], [2], schema.ReducerOptionsT())]
    return handmade(tensors, operators, [0], [2])


def test_the_network_is_as_before(handmade):
    content = mean_colour(handmade, "FLOAT32")
    packed = add_metadata(content, labels="rgb", mean=0, std=255)
    x = np.random.default_rng(0).uniform(size=(3, 4, 4, 3)).astype(np.float32)

    def answers(file):
        with runtimes.open_file(file, "litert") as opened:
            return opened.run([x])[0]

    np.testing.assert_array_equal(answers(packed.content), answers(content))
    assert kc.inspect(packed.content).operators == {"MEAN": 1}
    assert kc.check(packed, "android_gpu").verdict == "runs"
    assert list(flatbuffer.read(packed.content).metadata) == ["TFLITE_METADATA"]


def test_labels_lie_uncompressed_behind_the_flatbuffer(handmade):
    packed = add_metadata(mean_colour(handmade, "UINT8"), labels=["Rot", "Grün", "Blau"])
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        [entry] = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read("labels.txt").decode() == "Rot\nGrün\nBlau\n"
    again = add_metadata(packed, labels=["a", "b", "c"])
    with zipfile.ZipFile(io.BytesIO(again.content)) as archive:
        assert archive.namelist() == ["labels.txt"]
    assert again.content == add_metadata(packed, labels=["a", "b", "c"]).content


def table(content, position):
    """Walk a flatbuffer by hand: return a function from a field's place to its position."""
    buffer = flatbuffers.table.Table(content, position)
    return buffer, lambda place: buffer.Offset(4 + 2 * place)


def test_metadata_says_how_pixels_are_normalized(handmade):
    packed = add_metadata(mean_colour(handmade, "FLOAT32"), mean=127.5, std=[127.5], labels="rgb")
    stored = flatbuffer.read(packed.content).metadata["TFLITE_METADATA"].tobytes()
    assert stored[4:8] == b"M001"
    root, field = table(stored, int.from_bytes(stored[:4], "little"))
    graph, at = table(stored, root.Indirect(root.Vector(field(3))))
    tensor, at = table(stored, graph.Indirect(graph.Vector(at(2))))
    unit, option = table(stored, tensor.Indirect(tensor.Vector(at(4))))
    assert stored[unit.Pos + option(0)] == 1
    options, value = table(stored, unit.Indirect(unit.Pos + option(1)))
    floats = [np.frombuffer(stored, "<f4", 1, options.Vector(value(i)))[0] for i in (0, 1)]
    assert floats == [127.5, 127.5]
    stats, value = table(stored, tensor.Indirect(tensor.Pos + at(5)))
    limits = [np.frombuffer(stored, "<f4", 1, stats.Vector(value(i)))[0] for i in (0, 1)]
    assert limits == [1.0, -1.0]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("INT8", {}, "input_type='uint8'"),
        ("FLOAT32", {}, "needs mean and std"),
        ("FLOAT32", {"mean": 0, "std": 0}, "std above 0"),
        ("FLOAT32", {"mean": [0, 0], "std": [1, 1]}, "three channels"),
        ("UINT8", {"mean": 0, "std": 255}, "belong to a float input"),
        ("UINT8", {"labels": ["a", "b"]}, "2 labels for 3 classes"),
        ("UINT8", {"labels": ["a", "b\nc", "d"]}, "one line"),
        ("UINT8", {"labels": ["a", "", "d"]}, "one line"),
    ],
)
def test_what_mediapipe_would_refuse(handmade, kind, options, words):
    with pytest.raises(InvalidArgumentError, match=words):
        add_metadata(mean_colour(handmade, kind), **options)


@pytest.mark.parametrize("shape", [(1, 4, 4, 1), (2, 4, 4, 3)])
def test_what_is_no_single_image(handmade, shape):
    with pytest.raises(InvalidArgumentError, match="one image of shape"):
        add_metadata(mean_colour(handmade, "UINT8", shape))


def test_figures_for_people_and_programs(handmade, tmp_path):
    packed = add_metadata(mean_colour(handmade, "UINT8"), labels="rgb")
    assert packed.save(tmp_path / "app.tflite").read_bytes() == packed.content
    fields = packed.to_json()
    assert fields["bytes"] == len(packed.content)
    assert (fields["input_type"], fields["classes"], fields["labels"]) == (
        "uint8",
        3,
        ("r", "g", "b"),
    )
    assert "3 classes, 3 labels" in str(packed)
