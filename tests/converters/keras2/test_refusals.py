"""What is no model is refused in words; older forms of configurations are read."""

import json
import warnings

import h5py
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnsupportedModelError


def write_h5(path, config, weights):
    """Write what Keras 2 wrote: `weights` maps a layer's name to its list of arrays."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.2.4-tf"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            inner = group.create_group(name)
            names = [f"{name}/weight_{place}:0" for place in range(len(arrays))]
            inner.attrs["weight_names"] = [weight.encode() for weight in names]
            for weight, array in zip(names, arrays, strict=True):
                inner.create_dataset(weight, data=array)


def dense(name, units, **config):
    initializer = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}
    policy = {"class_name": "Policy", "config": {"name": "float32"}}
    settings = {"name": name, "units": units, "kernel_initializer": initializer, "dtype": policy}
    return {"class_name": "Dense", "config": {**settings, **config}}


KERNEL = np.array([[1.0, -2.0], [0.5, 4.0], [3.0, 0.25]], "float32")
BIAS = np.array([0.5, -0.5], "float32")


def test_a_sequential_model_of_the_first_years(tmp_path):
    # A bare list of layers, the input's shape in the first one, activations written as functions.
    activation = {"class_name": "function", "config": "relu"}
    layers = [dense("first", 2, batch_input_shape=[None, 3], activation=activation)]
    layers.append({"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.25}})
    config = {"class_name": "Sequential", "config": layers}
    write_h5(tmp_path / "old.h5", config, {"first": [KERNEL, BIAS], "leaky": []})
    x = np.array([[1, 2, -3], [-1, 0, 2]], "float32")
    found = kc.load_model(tmp_path / "old.h5").predict(x, verbose=0)
    np.testing.assert_allclose(found, np.maximum(x @ KERNEL + BIAS, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Lambda", "safe_mode=False.*'odd'"),
        ("TFOpLambda", "'odd' is a TFOpLambda.*set_weights"),
        ("Unheard", "custom_objects"),
    ],
)
def test_layers_that_cannot_be_loaded(tmp_path, kind, words):
    function = ["4wEAAAAAAAAA", None, None]
    odd = {"class_name": kind, "config": {"name": "odd", "function": function}}
    layers = [dense("first", 2, batch_input_shape=[None, 3]), odd]
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
    write_h5(tmp_path / "odd.h5", config, {"first": [KERNEL, BIAS], "odd": []})
    with pytest.raises(InvalidArgumentError, match=words):
        kc.convert(tmp_path / "odd.h5", representative_dataset=np.ones((2, 3), "float32"))


def test_a_layer_larger_than_the_file(tmp_path):
    layers = [dense("first", 10**9, batch_input_shape=[None, 3])]
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
    write_h5(tmp_path / "huge.h5", config, {"first": [KERNEL, BIAS]})
    with pytest.raises(InvalidArgumentError, match="1,000,000,000 weights"):
        kc.load_model(tmp_path / "huge.h5")


def test_weights_that_were_never_written(tmp_path):
    write_h5(tmp_path / "hollow.h5", {}, {})
    with h5py.File(tmp_path / "hollow.h5", "a") as file:
        file["model_weights"].create_dataset("hollow", (10**9,), "float32", chunks=(1024,))
    with pytest.raises(InvalidArgumentError, match="would take 4,000,000,000 bytes"):
        kc.load_model(tmp_path / "hollow.h5")


def test_weights_alone(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
    with pytest.raises(InvalidArgumentError, match="load_weights.*holds only weights"):
        kc.load_model(tmp_path / "weights.h5")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.onnx", b"\x08\x07\x12\x07pytorch", "onnx2tf"),
        ("model.pt", b"PK\x03\x04", "litert-torch"),
        ("model.tflite", b"\x1c\x00\x00\x00TFL3", "a TFLite flatbuffer"),
        ("frozen.pb", b"\x0a\x10", "frozen graph"),
        ("model.json", b"{}", "model_from_json"),
        ("model.safetensors", b"\x00\x01", "Weights alone"),
        ("model.txt", b"hello", "plain text"),
        ("cut.h5", b"\x89HDF\r\n\x1a\n", "damaged"),
    ],
)
def test_other_files(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        kc.load_model(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"saved_model\.pb.*a folder"):
        kc.load_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    with pytest.raises(UnsupportedModelError, match=r"no keras_metadata\.pb"):
        kc.load_model(tmp_path)
    for content in (b"", b"\x0a\xff", b"\x0a\x02\x2a\x00", b"\x0a\x04\x2a\x02{}"):
        (tmp_path / "keras_metadata.pb").write_bytes(content)
        with pytest.raises(InvalidArgumentError, match="damaged|subclassed"):
            kc.load_model(tmp_path)


@pytest.mark.verify("imports a second Keras, here and in a process of its own")
def test_a_live_model_of_tf_keras_is_compared_with_its_source():
    pytest.importorskip("tf_keras", reason="tf_keras is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tf_keras

        layers = [tf_keras.layers.DepthwiseConv2D(3), tf_keras.layers.Flatten()]
        model = tf_keras.Sequential([tf_keras.layers.Input((4, 4, 2)), *layers])
        x = np.random.default_rng(0).random((3, 4, 4, 2), np.float32)
        expected = model.predict(x, verbose=0)
        loaded = kc.load_model(model, compare=True)
        assert type(loaded).__module__.startswith("keras.")
        np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, atol=1e-6)
        with pytest.raises(UnsupportedModelError, match="kc.load_model"):
            kc.compress(model, pruning=kc.Pruning())
