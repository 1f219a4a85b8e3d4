"""A sample of what `benchmarks/fuzz.py` does in thousands, and bombs that chance won't build."""

import importlib.util
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.keras2 import model_file
from keras_compress.data.forms.numpy_file import load_arrays
from keras_compress.errors import InvalidArgumentError, ProfileError
from keras_compress.support import archives
from tests.fixtures.work import count_calls

keras = pytest.importorskip("keras")

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / "edge_profiles/coral_edgetpu.toml"


def load_mutants():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "benchmarks/mutants.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mutants = load_mutants()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    x = np.random.default_rng(0).random((4, 6, 6, 1), np.float32)
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", x=x, y=np.arange(4) % 3)
    kc.convert(model, "float32").save(folder / "model.tflite")
    # A user's profile names built-in operators only.
    lines = PROFILE.read_text().splitlines(keepends=True)
    (folder / "profile.toml").write_text("".join(x for x in lines if "edgetpu-custom" not in x))
    return mutants.Good(folder, profiles=("cortex_m4", "coral_edgetpu"), seconds=60)


MORE = pytest.mark.verify("more of the same: runs the verbs on 50 damaged files in 5 s")


@pytest.mark.parametrize(
    ("kind", "seeds"),
    [
        pytest.param("tflite", range(20), id="tflite-20"),
        pytest.param("tflite", range(20, 70), id="tflite-70", marks=MORE),
        pytest.param("npz", range(40), id="npz-40"),
        pytest.param("toml", range(30), id="toml-30"),
    ],
)
def test_damaged_files_end_in_errors_of_one_line(kind, seeds, good, tmp_path):
    assert_rules_hold(kind, seeds, good, tmp_path)


def test_damaged_keras_files_end_in_errors_of_one_line(good, tmp_path):
    assert_rules_hold("keras", range(15), good, tmp_path)


def assert_rules_hold(kind, seeds, good, folder):
    with np.load(good.file("npz")) as arrays:
        data = arrays["x"], arrays["y"]
    content, seen = good.file(kind).read_bytes(), set()
    for seed in seeds:
        path = folder / f"mutant.{kind}"
        path.write_bytes(mutants.mutant(kind, content, seed))
        outcomes = mutants.drive(kind, path, good, data)
        assert not mutants.broken(outcomes), f"{kind} {seed}: {outcomes}"
        seen.update(outcomes.values())
    assert seen == {"done", "refused"}


def test_a_file_that_kills_interpreters_does_not_kill_this_process(handmade, good, tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    tensors = [
        {"name": name, "shape": (1, 3), "type": "INT8", "scale": [scale], "zero_point": [0]}
        for name, scale in (("x", 1.0), ("y", 1e-9))
    ]
    path = tmp_path / "model.tflite"
    path.write_bytes(handmade(tensors, [("ADD", [0, 0], [1], schema.AddOptionsT())], [0], [1]))
    outcomes = mutants.drive("tflite", path, good, (np.ones((2, 3), np.float32), None))
    assert outcomes["evaluate"] == "refused" and not mutants.broken(outcomes)


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def header(shape, kind="<f4"):
    stream = io.BytesIO()
    fields = {"shape": shape, "fortran_order": False, "descr": kind}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.npy", header((1 << 40,)), "claims 4,398,046,511,104 bytes"),
        ("x.npy", header((2, 2), "|O") + bytes(32), "not plain numbers"),
        ("x.npy", header((-1,)), "claims"),
        ("x.pkl", b"\x80\x04", "is not an array"),
        ("../x.npy", header((0,)), "points outside it"),
        ("/x.npy", header((0,)), "points outside it"),
        ("c:/x.npy", header((0,)), "points outside it"),
    ],
)
def test_npz_files_that_claim_or_carry_what_they_must_not(name, content, words, tmp_path):
    path = write_zip(tmp_path / "data.npz", {name: content})
    with pytest.raises(InvalidArgumentError, match=words):
        load_arrays(path)


def test_a_zip_bomb_is_refused_by_its_declared_size(tmp_path):
    path = write_zip(tmp_path / "data.npz", {"x.npy": bytes(30 << 20)})
    assert path.stat().st_size < 100_000
    with pytest.raises(InvalidArgumentError, match="unpacks to 31,457,280 bytes, more than"):
        archives.check(path, limit_bytes=20 << 20)
    assert archives.check(path) == {"x.npy": 30 << 20}


def test_members_that_overlap_or_unpack_without_bound_are_refused(tmp_path):
    path = write_zip(tmp_path / "data.npz", {"x.npy": bytes(999)}, zipfile.ZIP_LZMA)
    with pytest.raises(InvalidArgumentError, match="compressed by method 14"):
        archives.check(path)
    path = write_zip(tmp_path / "data.npz", {"x.npy": bytes(9999)}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 20, 1 << 30)
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=r"overlap|damaged"):
        archives.check(path)


def test_a_lambda_layer_is_not_run(tmp_path):
    path = tmp_path / "model.keras"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)])
    model.save(path)
    with pytest.raises(InvalidArgumentError, match=r"[Ll]ambda") as caught:
        model_file.load(path)
    assert "\n" not in str(caught.value)


def test_layers_larger_than_the_weights_in_the_file_are_refused(good, tmp_path, monkeypatch):
    with zipfile.ZipFile(good.file("keras")) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = members["config.json"].decode()
    assert config.count('"units": 3') == 1
    members["config.json"] = config.replace('"units": 3', '"units": 5000000000')
    path = write_zip(tmp_path / "model.keras", members, zipfile.ZIP_STORED)
    # Keras would make the layer first.
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("was asked"))
    with pytest.raises(InvalidArgumentError, match="at least 5,000,000,000 weights"):
        model_file.load(path)
    monkeypatch.undo()
    members["config.json"] = json.dumps([[[]]]).replace("[]", "[" * 9000 + "]" * 9000)
    write_zip(path, members)
    with pytest.raises(InvalidArgumentError, match="levels of nesting"):
        model_file.load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 50_000, "must be TOML"),
        ("a" + ".a" * 40_000 + " = 1", "at most 200 dots"),
        ("# " + "x" * 200_000, "at most 100,000 characters"),
        ("title = 'x'\nflash_bytes = 0x" + "f" * 50_000, "more than 64 bits"),
        ("title = 'x'\nflash_bytes = " + "9" * 50_000, "must be TOML"),
        ("title = 'x'\n" + "y" * 50_000 + " = 1", "unknown key"),
    ],
)
def test_profiles_that_would_take_hours(text, words, tmp_path):
    path = tmp_path / "profile.toml"
    path.write_text(text)

    def check():
        with pytest.raises(ProfileError, match=words) as caught:
            kc.check(b"", path)
        return caught

    # At most a few calls for each character.
    assert count_calls(check) < 5 * len(text)
    caught = check()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000


def test_one_buffer_read_through_many_tensors_is_refused(handmade):
    """Each of the tensors would be counted, megabytes at a time."""
    tensors = [{"name": "w", "shape": [1 << 20], "type": "INT8", "data": bytes(1 << 20)}]
    content = bytearray(handmade(tensors))
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    tensor, field = graph.Tensors(0)._tab.Pos, graph._tab.Pos + graph._tab.Offset(4)
    many, vector = 5000, len(content)
    # Offsets lead forward only: the file is repeated behind the longer list.
    content += struct.pack("<I", many) + bytes(4 * many)
    start = len(content)
    content += content[:vector]
    for place in range(vector + 4, start, 4):
        struct.pack_into("<I", content, place, start + tensor - place)
    struct.pack_into("<I", content, field, vector - field)
    with pytest.raises(kc.CompressionError, match="more data than it holds"):
        kc.inspect(bytes(content))
