import json

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import FlatbufferError
from keras_compress.tflite import flatbuffer


def test_json_holds_the_contract(by_tensorflow):
    found = json.loads(json.dumps(kc.inspect(by_tensorflow.int8).to_json()))
    assert found["bytes"] == len(by_tensorflow.int8)
    assert found["float_tensors"] == 0
    assert found["operators"]["CONV_2D"] == 3 and found["operators"]["ADD"] == 1
    (image,) = found["inputs"]
    assert image["shape"] == [1, 12, 12, 3] and image["dtype"] == "int8"
    assert len(image["scales"]) == len(image["zero_points"]) == 1 and image["axis"] is None
    assert found["outputs"][0]["scales"] == [1 / 256]
    depthwise = next(t for t in found["tensors"] if t["shape"] == [1, 3, 3, 8])
    assert depthwise["axis"] == 3 and len(depthwise["scales"]) == 8
    assert depthwise["zero_points"] == [0] * 8


def test_zeros_are_counts_and_sparsity_a_fraction(handmade):
    data = np.array([0, 0, 0, 5], np.int8).tobytes()
    tensors = [
        {"name": "kernel", "shape": [2, 2], "type": "INT8", "data": data}
        | {"scale": [0.1], "zero_point": [0]},
        {"name": "x", "shape": [2], "type": "INT8"},
    ]
    kernel, x = kc.inspect(handmade(tensors)).tensors
    assert (kernel["zeros"], kernel["sparsity"]) == (3, 0.75)
    assert (x["zeros"], x["sparsity"]) == (None, None)


def test_float_tensors_are_counted(by_tensorflow):
    tensors = flatbuffer.read(by_tensorflow.float32).tensors
    expected = sum(t.dtype == "float32" for t in tensors)
    assert kc.inspect(by_tensorflow.float32).float_tensors == expected > 0


def test_text_and_html_show_every_operator(by_tensorflow):
    inspection = kc.inspect(by_tensorflow.int8)
    for shown in (str(inspection), inspection._repr_html_()):
        assert all(name in shown for name in inspection.operators)
        assert "1x12x12x3" in shown
    assert f"{inspection.bytes:,} bytes" in str(inspection)


def test_html_escapes_names(handmade):
    tensors = [{"name": "<script>x</script>", "shape": [2], "type": "INT8"}]
    page = kc.inspect(handmade(tensors, inputs=[0]))._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_a_file_that_is_none(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"")
    with pytest.raises(FlatbufferError, match="an empty file"):
        kc.inspect(path)
