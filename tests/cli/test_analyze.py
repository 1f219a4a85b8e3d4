import json

import keras
import numpy as np

import keras_compress as kc
from keras_compress.cli.main import main


def test_it_names_the_layers_and_writes_json(tmp_path, capsys):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="head"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    model.save(tmp_path / "model.keras")
    kc.convert(model, representative_dataset=x * 20).save(tmp_path / "model.tflite")
    np.savez(tmp_path / "x.npz", x=x)
    words = ["analyze", "--model", "model.tflite", "--baseline", "model.keras", "--data", "x.npz"]
    words = [str(tmp_path / word) if "." in word else word for word in words]
    files = ["--json", str(tmp_path / "found.json"), "--nodes", str(tmp_path / "nodes.json")]
    assert main([*words, *files]) == 0
    assert "calibrated for values from" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["causes"][0]["code"] == "calibration_mismatch"
    assert {row["layer"] for row in found["rows"]} >= {"hidden", "head"}
    assert json.loads((tmp_path / "nodes.json").read_text())["main"]["results"]
