"""Every source ends in a checked int8 file that answers as the source does.

The files in `sources` were written by tf_keras, tensorflow-model-optimization and Keras' JAX
backend (`write_sources.py`, `write_jax_model.py`), with what each model answered there.
"""

import pathlib
import sys

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.data.model_inputs import as_inputs
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from tests.fixtures.versions import NEWER_FILES

SOURCES = pathlib.Path(__file__).parent / "sources"
# Name -> (file, whose answers are the oracle, how far the rebuilt Keras model may be from them).
FILES = {
    "h5": ("plain.h5", "plain", 1e-5),
    "keras of tf_keras": ("plain.keras", "plain", 1e-5),
    "SavedModel": ("plain_saved_model", "plain", 1e-5),
    "pruned": ("pruned.h5", "pruned", 0.02),
    "clustered": ("clustered.h5", "clustered", 0.05),
    "quantized": ("quantized.h5", "quantized", 0.03),
    "jax": ("jax.keras", "jax", 1e-5),
}


def answers(name):
    with np.load(SOURCES / ("jax_answers.npz" if name == "jax" else "answers.npz")) as found:
        return found["x"], found[name]


@pytest.fixture(
    scope="module", params=[pytest.param(n, marks=NEWER_FILES if n == "jax" else ()) for n in FILES]
)
def source(request):
    file, oracle, tolerance = FILES[request.param]
    return kc.load_model(SOURCES / file, compile=False), *answers(oracle), tolerance


def test_rebuilt_model_answers_as_its_source(source):
    model, x, expected, tolerance = source
    np.testing.assert_allclose(model(as_inputs(model, x)), expected, atol=tolerance)


def test_int8_file_gives_the_labels_of_its_source(source):
    model, x, expected, _ = source
    assert len(set(expected.argmax(-1))) == 4
    converted = kc.convert(model, "cortex_m7", x[:60])
    result = kc.evaluate(converted, x, expected.argmax(-1), latency_runs=0)
    assert result.model.accuracy >= 0.99


def test_paths_are_taken_by_convert_and_by_the_command(tmp_path):
    from keras_compress.cli.main import main

    x, _ = answers("plain")
    np.savez(tmp_path / "x.npz", x=x[:20])
    output = tmp_path / "model.tflite"
    arguments = [
        f"--model={SOURCES / 'plain.h5'}",
        f"--representative_data={tmp_path / 'x.npz'}",
        f"--output={output}",
    ]
    assert main(["convert", *arguments]) == 0
    by_path = kc.convert(SOURCES / "plain.h5", representative_dataset=x[:20])
    assert output.read_bytes() == by_path.content


def test_no_other_keras_is_needed(monkeypatch):
    for name in ("tf_keras", "tensorflow_model_optimization"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("plain.h5", "plain_saved_model", "quantized.h5"):
        assert kc.load_model(SOURCES / name).count_params()


def test_masks_are_held_in_more_training():
    model = kc.load_model(SOURCES / "pruned.h5")
    x, expected = answers("pruned")
    zeros = {
        layer.name: np.asarray(kernel.mask) == 0
        for layer in all_layers(model)
        if isinstance(layer, CompressedLayer)
        for kernel in layer.prunable_kernels
        if kernel.kernel.attribute != "depthwise_kernel"
    }
    assert set(zeros) == {"conv", "separable", "hidden", "head"}
    for mask in zeros.values():
        assert mask.mean() == pytest.approx(0.5, abs=0.01)
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(x[:64], expected[:64], verbose=0)
    hidden = kc.strip(model).get_layer("hidden").get_weights()[0]
    np.testing.assert_array_equal(hidden == 0, zeros["hidden"])


def test_shared_values_stay_shared():
    model = kc.load_model(SOURCES / "clustered.h5")
    x, expected = answers("clustered")
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(x[:64], expected[:64], verbose=0)
    for name in ("conv", "hidden", "head"):
        assert len(np.unique(kc.strip(model).get_layer(name).get_weights()[0])) <= 8


def test_ranges_are_those_that_tfmot_has_learned():
    import h5py

    model = kc.load_model(SOURCES / "quantized.h5")
    ranges = {
        layer.name: layer.range
        for layer in all_layers(model)
        if isinstance(layer, ActivationQuantizer) and layer.fixed_range is None
    }
    with h5py.File(SOURCES / "quantized.h5") as file:
        weights = file["model_weights"]
        for name, group, place in (
            ("image_range", "quantize_layer", "quantize_layer"),
            ("relu_range", "quant_relu", "output"),
            ("add_range", "quant_add", "output"),
            ("hidden_range", "quant_hidden", "post_activation"),
            ("head_range", "quant_head", "pre_activation"),
        ):
            stored = weights[group][group]
            expected = (stored[f"{place}_min:0"][()], stored[f"{place}_max:0"][()])
            assert ranges[name] == pytest.approx(expected), name


def test_ranges_suffice_without_samples():
    x, expected = answers("quantized")
    converted = kc.convert(SOURCES / "quantized.h5", "cortex_m7")
    result = kc.evaluate(converted, x, expected.argmax(-1), latency_runs=0)
    assert result.model.accuracy >= 0.99
