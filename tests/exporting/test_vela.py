import json
import sys

import pytest

from keras_compress.edge_profiles import profile
from keras_compress.errors import ConversionError, FlatbufferError, InvalidArgumentError
from keras_compress.exporting import vela
from keras_compress.tflite import flatbuffer

ETHOS = [name for name in profile.profiles() if profile.get(name).vela]


@pytest.fixture(scope="module")
def compiled():
    pytest.importorskip("ethosu", reason="ethos-u-vela is not installed")


def network(handmade, *, elu=False, dtype="INT8", float_only=False):
    """CONV_2D on 8x8x4, then ELU in float between DEQUANTIZE and QUANTIZE if asked for."""
    from ai_edge_litert import schema_py_generated as schema

    kind = "FLOAT32" if float_only else "INT8"
    scale = {} if float_only else {"scale": [0.5], "zero_point": [0]}
    size = 4 if float_only else 1
    per_channel = {} if float_only else {"scale": [0.1] * 8, "zero_point": [0] * 8}
    weights = {"INT8": 288 * size, "INT4": 144}[dtype]
    bias = {} if float_only else {"scale": [0.05] * 8, "zero_point": [0] * 8}
    tensors = [
        {"name": "image", "shape": (1, 8, 8, 4), "type": kind, **scale},
        {
            "name": "net_1/stem_1/kernel",
            "shape": (8, 3, 3, 4),
            "type": "FLOAT32" if float_only else dtype,
            "data": b"\x11" * weights,
            **per_channel,
        },
        {
            "name": "bias",
            "shape": (8,),
            "type": "FLOAT32" if float_only else "INT32",
            "data": bytes(32),
            **bias,
        },
        {"name": "net_1/stem_1/convolution", "shape": (1, 8, 8, 8), "type": kind, **scale},
    ]
    options = schema.Conv2DOptionsT(strideW=1, strideH=1, padding=schema.Padding.SAME)
    options.dilationWFactor = options.dilationHFactor = 1
    operators = [("CONV_2D", (0, 1, 2), (3,), options)]
    if elu:
        tensors += [
            {"name": "net_1/swell_1/a", "shape": (1, 8, 8, 8), "type": "FLOAT32"},
            {"name": "net_1/swell_1/Elu", "shape": (1, 8, 8, 8), "type": "FLOAT32"},
            {"name": "net_1/swell_1/b", "shape": (1, 8, 8, 8), "type": "INT8", **scale},
        ]
        operators += [
            ("DEQUANTIZE", (3,), (4,), None),
            ("ELU", (4,), (5,), None),
            ("QUANTIZE", (5,), (6,), None),
        ]
    return handmade(tensors, operators, inputs=[0], outputs=[len(tensors) - 1])


@pytest.mark.parametrize("name", ETHOS)
def test_whole_network_on_each_accelerator(compiled, handmade, name):
    result = vela.compile_model(network(handmade), name)
    assert (result.accelerator, result.profile) == (profile.get(name).vela["accelerator"], name)
    assert (result.accelerated_operators, result.cpu_operators) == (1, ())
    assert result.macs == 8 * 8 * 8 * 3 * 3 * 4
    assert result.cycles > 0 and result.inference_ms > 0
    assert result.sram_bytes + result.dram_bytes > 0
    # Weights lie in flash beside a Cortex-M, in DRAM in the larger systems.
    assert bool(result.flash_bytes) != bool(result.dram_bytes)
    assert [op.name for op in flatbuffer.read(result.content).operators] == ["ethos-u"]


def test_operators_left_to_the_cpu_are_read_from_the_compiled_file(compiled, handmade, tmp_path):
    result = vela.compile_model(network(handmade, elu=True), "ethos_u55_256")
    left = [(entry["operator"], entry["layer"]) for entry in result.cpu_operators]
    assert left == [("DEQUANTIZE", "swell"), ("ELU", "swell"), ("QUANTIZE", "swell")]
    assert result.accelerated_operators == 1
    assert "1 accelerated; on the CPU: 1 DEQUANTIZE, 1 ELU, 1 QUANTIZE" in str(result)
    fields = json.loads(json.dumps(result.to_json()))
    assert fields["bytes"] == len(result.content) and "content" not in fields
    assert result.save(tmp_path / "model_vela.tflite").read_bytes() == result.content


def test_float_file_is_refused_though_vela_ends_with_success(compiled, handmade):
    with pytest.raises(ConversionError, match="Vela left all 1 operators to the CPU"):
        vela.compile_model(network(handmade, float_only=True), "ethos_u65")


def test_narrow_weights_are_refused_before_vela_starts(compiled, handmade, monkeypatch):
    monkeypatch.setattr(vela, "_run", None)
    with pytest.raises(ConversionError, match="CONV_2D of layer stem with int4 weights"):
        vela.compile_model(network(handmade, dtype="INT4"), "ethos_u55_128")


def test_failure_is_told_in_velas_words(compiled, handmade, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "ethos_u65"\ntitle = "T"\n[vela]\nmemory_mode = "No_Such"\n')
    with pytest.raises(ConversionError, match=r"exit code \d+: .*No_Such"):
        vela.compile_model(network(handmade), path)


def test_time_is_bounded(compiled, handmade):
    with pytest.raises(ConversionError, match="longer than 0.01 s"):
        vela.compile_model(network(handmade), "ethos_u65", timeout_s=0.01)


def test_other_profiles_files_and_arguments_are_refused(handmade, monkeypatch):
    with pytest.raises(InvalidArgumentError, match="Profiles: ethos_u55_128, "):
        vela.compile_model(network(handmade), "cortex_m4")
    if "ethosu" in sys.modules or vela.importlib.util.find_spec("ethosu"):
        with pytest.raises(FlatbufferError):
            vela.compile_model(b"nothing", "ethos_u65")
        with pytest.raises(InvalidArgumentError, match="optimise must be one of"):
            vela.compile_model(network(handmade), "ethos_u65", optimise="Speed")
    monkeypatch.setattr(vela.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidArgumentError, match="pip install ethos-u-vela"):
        vela.compile_model(network(handmade), "ethos_u65")
