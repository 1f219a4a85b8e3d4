import json

import pytest

from keras_compress.converters.converted_model import ConvertedModel
from keras_compress.errors import InvalidArgumentError


@pytest.fixture
def converted(by_tensorflow):
    return ConvertedModel(content=by_tensorflow.int8, profile="generic_int8", warnings=("odd",))


def test_it_is_its_bytes(converted, by_tensorflow):
    assert bytes(converted) == by_tensorflow.int8
    assert len(converted) == len(by_tensorflow.int8)
    assert converted.inspect().bytes == len(converted)


def test_save(converted, tmp_path):
    assert converted.save(tmp_path / "model.tflite").read_bytes() == converted.content
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.keras", "another ending"),
        ("model", "another ending"),
        ("folder.tflite", "a folder"),
        ("absent/model.tflite", "a folder that does not exist"),
    ],
)
def test_save_refuses_what_is_no_file_name(converted, tmp_path, name, words):
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(InvalidArgumentError, match=words):
        converted.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.tflite"]


def test_json_and_text(converted):
    fields = json.loads(json.dumps(converted.to_json()))
    assert fields["profile"] == "generic_int8" and fields["warnings"] == ["odd"]
    assert fields["operators"]["CONV_2D"] == 3
    assert "Warning: odd" in str(converted) and "CONV_2D" in converted._repr_html_()


def test_the_repr_does_not_show_the_bytes(converted):
    assert len(repr(converted)) < 200
