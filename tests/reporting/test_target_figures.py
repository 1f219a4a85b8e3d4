import importlib.util
import json

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation.runtimes import open_file
from keras_compress.exporting import vela
from keras_compress.reporting.target_figures import Figure, target_figures
from keras_compress.tflite import arena, flatbuffer

MICRO = importlib.util.find_spec("tflite_micro") is not None
VELA = importlib.util.find_spec("ethosu") is not None


@pytest.fixture(scope="module")
def content(handmade):
    """A convolution on 8 x 8 maps, as TensorFlow's converter would write it."""
    from ai_edge_litert import schema_py_generated as schema

    random = np.random.default_rng(0)
    weights = random.integers(-127, 128, (16, 3, 3, 16)).astype(np.int8)
    options = schema.Conv2DOptionsT(padding=schema.Padding.SAME, strideW=1, strideH=1)
    scales = {"scale": np.full(16, 0.01), "zero_point": [0] * 16}
    tensors = [
        {"name": "x", "shape": (1, 8, 8, 16), "type": "INT8", "scale": [0.1], "zero_point": [0]},
        {"name": "w", "shape": (16, 3, 3, 16), "type": "INT8", "data": weights.tobytes(), **scales},
        {"name": "b", "shape": [16], "type": "INT32", "data": bytes(64)}
        | {"scale": np.full(16, 0.001), "zero_point": [0] * 16},
        {"name": "y", "shape": (1, 8, 8, 16), "type": "INT8", "scale": [0.4], "zero_point": [0]},
    ]
    return handmade(tensors, [("CONV_2D", [0, 1, 2], [3], options)], [0], [3])


@pytest.fixture(scope="module")
def result(content):
    x = np.random.default_rng(1).normal(size=(4, 8, 8, 16)).astype(np.float32)
    return kc.evaluate(content, x, latency_runs=3, runtime="litert")


@pytest.mark.skipif(not MICRO, reason="TFLite Micro measures the arena")
def test_memory_of_a_microcontroller_is_measured(content):
    found = target_figures(content, "cortex_m4")
    with open_file(content, "tflite_micro") as opened:
        opened.invoke([np.zeros((1, 8, 8, 16), np.int8)])
        measured = opened.arena()["total_bytes"]
    assert found.sram_bytes.value == measured
    assert "measured in TFLite Micro" in found.sram_bytes.source
    assert found.flash_bytes == Figure(len(content), "size of the file", 917_504)
    assert (found.verdict, found.fits, found.latency_ms.value) == ("runs", True, None)


def test_memory_is_estimated_without_the_interpreter(content, monkeypatch):
    from keras_compress.evaluation.runtimes.tflite_micro import TFLiteMicro

    monkeypatch.setattr(TFLiteMicro, "available", classmethod(lambda cls: False))
    found = target_figures(content, "cortex_m4")
    assert found.sram_bytes.value == arena.estimate(flatbuffer.read(content)).total
    assert "estimate" in found.sram_bytes.source


@pytest.mark.skipif(not VELA, reason="Vela estimates the Ethos-U")
def test_an_accelerator_has_the_figures_of_its_compiler(content):
    found = target_figures(content, "ethos_u55_128")
    compiled = vela.compile_model(content, "ethos_u55_128")
    assert found.latency_ms.value == compiled.inference_ms > 0
    assert found.sram_bytes.value == compiled.sram_bytes > 0
    assert "Vela's estimate" in found.latency_ms.source


def test_latency_in_litert_is_said_to_be_of_this_machine(content, result):
    found = target_figures(content, "raspberry_pi", result)
    assert found.latency_ms.value == result.model.latency_ms.p50
    assert found.latency_ms.source.endswith("on this machine, not on the target")
    assert target_figures(content, "raspberry_pi").latency_ms.value is None


def test_a_file_that_does_not_fit_says_so(content, tmp_path):
    board = tmp_path / "board.toml"
    board.write_text('extends = "cortex_m4"\ntitle = "Small"\nflash_bytes = 1_000\n')
    found = target_figures(content, board)
    assert (found.verdict, found.fits) == ("does_not_run", False)
    assert found.findings[0]["code"] == "flash_over_budget"
    assert found.latency_ms == Figure(None, "does not run")


def test_report_has_a_section_of_targets(content, result):
    report = kc.report(result, model=content, targets=["raspberry_pi", "coral_edgetpu"])
    fields = json.loads(json.dumps(report.to_json()))["targets"]
    assert fields["raspberry_pi"]["flash_bytes"]["value"] == len(content)
    text, page = str(report), report.to_html()
    for shown in (text, page):
        assert "raspberry_pi" in shown and "size of the file" in shown
    assert ">Targets</figcaption>" in page
    assert "Targets" not in kc.report(result).to_html()
    named = kc.report({"a": result, "b": result}, model=[content, content], targets="raspberry_pi")
    assert named.to_json()["results"]["b"]["targets"]["raspberry_pi"]["verdict"] == "runs"
    assert "a " in str(named)


def test_targets_need_the_file(result):
    with pytest.raises(InvalidArgumentError, match="pass model="):
        kc.report(result, targets=["cortex_m4"])
