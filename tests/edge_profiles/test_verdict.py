import json
import subprocess
import sys

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.edge_profiles import profile
from keras_compress.errors import FlatbufferError, ProfileError, UnknownNameError
from tests.fixtures.work import count_calls


def codes(verdict):
    return [finding.code for finding in verdict.findings]


def finding(verdict, code):
    found = [finding for finding in verdict.findings if finding.code == code]
    assert found, codes(verdict)
    return found[0]


@pytest.fixture
def board(tmp_path):
    """A function that writes a profile with other budgets and returns its path."""

    def write(base="cortex_m4", **figures):
        path = tmp_path / "board.toml"
        lines = [f'extends = "{base}"', 'title = "A board"']
        path.write_text("\n".join([*lines, *(f"{k} = {v}" for k, v in figures.items())]) + "\n")
        return path

    return write


def test_integer_file_runs_with_nothing_to_say(classifier):
    content = classifier()
    verdict = kc.check(content, "cortex_m4")
    assert (verdict.verdict, verdict.runs, verdict.findings) == ("runs", True, ())
    assert verdict.accelerated_macs == 1.0
    assert verdict.macs == 8 * 8 * 8 * 3 * 3 * 4 + 10 * 128
    assert verdict.flash_bytes == len(content)
    assert 0 < verdict.sram_bytes < verdict.sram_budget_bytes


# What each kind of file gets: options of the classifier, profile, code, verdict.
NAMED = [
    ({"dtype": "float32"}, "cortex_m4", "float_model", "runs"),
    ({"dtype": "float32"}, "coral_edgetpu", "float_model", "does_not_run"),
    ({"dtype": "float32"}, "ethos_u55_128", "float_model", "runs_with_fallbacks"),
    ({"dtype": "float32"}, "generic_int8", "float_model", "does_not_run"),
    ({"dtype": "float32", "weight_dtype": "int8"}, "cortex_m4", "dynamic_range", "does_not_run"),
    ({"dtype": "float32", "weight_dtype": "int8"}, "coral_edgetpu", "dynamic_range", None),
    ({"signature": [-1, 8, 8, 4]}, "coral_edgetpu", "dynamic_batch", "does_not_run"),
    ({"signature": [-1, 8, 8, 4]}, "cortex_m4", "dynamic_batch", "runs"),
    ({"signature": [-1, -1, 8, 4]}, "cortex_m4", "dynamic_shape", "runs"),
    ({"dtype": "int16"}, "coral_edgetpu", "activation_bits", "runs_with_fallbacks"),
    ({"dtype": "int16"}, "generic_int8", "activation_bits", "does_not_run"),
    ({"dtype": "int16"}, "esp32s3", "slow_kernel", "runs"),
    ({"dtype": "uint8", "weight_dtype": "uint8"}, "cortex_m4", "unsupported_type", "does_not_run"),
    ({"dense_scales": (0.1,) * 10}, "rp2040", "per_channel_dense", "does_not_run"),
    ({"dense_scales": (0.1,) * 10}, "coral_edgetpu", "per_channel_dense", "runs"),
    ({"weight_dtype": "int4"}, "ethos_u65", "int4_weights", "does_not_run"),
    ({"version": 6}, "coral_edgetpu", "first_unmapped_operator", "runs_with_fallbacks"),
    ({}, "android_gpu", "io_type", "runs"),
    ({"dtype": "float32"}, "qualcomm_qnn", "float_model", "runs_with_fallbacks"),
]


@pytest.mark.parametrize(("options", "target", "code", "verdict"), NAMED)
def test_each_kind_of_file_gets_its_own_finding(classifier, options, target, code, verdict):
    found = kc.check(classifier(**options), target)
    assert code in codes(found)
    assert verdict in (None, found.verdict)
    assert finding(found, code).message
    assert finding(found, code).fix


def test_six_kinds_of_files_get_six_names(classifier, with_island, board):
    """The first finding of each is one that no other of them gets."""
    tiny = board("generic_int8", flash_bytes=1000)
    kinds = {
        "float_model": (classifier(dtype="float32"), "generic_int8"),
        "dynamic_range": (classifier(dtype="float32", weight_dtype="int8"), "generic_int8"),
        "dynamic_batch": (classifier(signature=[-1, 8, 8, 4]), "generic_int8"),
        "float_island": (with_island, "generic_int8"),
        "flash_over_budget": (classifier(), tiny),
        "corrupt_file": (classifier()[:2000], "generic_int8"),
    }
    first = {code: codes(kc.check(*case))[0] for code, case in kinds.items()}
    assert first == {code: code for code in kinds}


def test_variables_and_their_initialization_run_where_the_target_has_them(builder):
    handle = builder.tensor((), "resource", scales=())
    source, state, total = (builder.tensor((1, 40)) for _ in range(3))
    builder.operator("CALL_ONCE", [], [], initSubgraphIndex=1)
    builder.operator("VAR_HANDLE", [], [handle], sharedName="state", container="")
    builder.operator("READ_VARIABLE", [handle], [state])
    builder.operator("ADD", [source, state], [total])
    builder.operator("ASSIGN_VARIABLE", [handle, total], [])
    builder.end_graph([source], [total])
    handle, zeros = builder.tensor((), "resource", scales=()), builder.tensor((1, 40), data=0)
    builder.operator("VAR_HANDLE", [], [handle], sharedName="state", container="")
    builder.operator("ASSIGN_VARIABLE", [handle, zeros], [])
    content = builder.content([], [])
    verdicts = {name: kc.check(content, name).verdict for name in kc.profiles()}
    assert verdicts["cortex_m4"] == verdicts["raspberry_pi"] == "runs"
    assert set(verdicts.values()) <= {"runs", "runs_with_fallbacks", "does_not_run"}


def test_float_file_for_float_targets_is_as_it_should_be(classifier):
    for target in ("float32", "android_gpu", "android_cpu"):
        verdict = kc.check(classifier(dtype="float32"), target)
        assert verdict.verdict == "runs"
        assert verdict.accelerated_macs == 1.0
    assert codes(kc.check(classifier(dtype="float32"), "float32")) == []


def test_float_island_is_told_once_with_its_layer_and_remedy(with_island):
    for target, verdict in (
        ("cortex_m4", "runs"),
        ("ethos_u55_256", "runs_with_fallbacks"),
        ("coral_edgetpu", "runs_with_fallbacks"),
        ("generic_int8", "does_not_run"),
    ):
        found = kc.check(with_island, target)
        assert found.verdict == verdict
        assert codes(found).count("float_island") == 1
        island = finding(found, "float_island")
        assert (island.operator, island.index, island.layer) == ("ELU", 2, "swell")
        assert "DEQUANTIZE, ELU, QUANTIZE" in island.message
        assert "ReLU" in island.fix
        assert set(codes(found)) <= {"float_island", "first_unmapped_operator", "channel_padding"}


def test_first_operator_that_stops_an_edge_tpu_mapping(with_island):
    found = kc.check(with_island, "coral_edgetpu")
    stop = finding(found, "first_unmapped_operator")
    assert (stop.operator, stop.index) == ("DEQUANTIZE", 1)
    assert "1 operators behind it" in stop.message
    assert found.first_unmapped["index"] == 1
    first, last = 8 * 8 * 8 * 36, 8 * 8 * 4 * 8
    assert found.accelerated_macs == pytest.approx(first / (first + last))
    assert kc.check(with_island, "cortex_m4").first_unmapped is None


@pytest.mark.parametrize(
    ("figure", "code"), [("flash_bytes", "flash_over_budget"), ("sram_bytes", "sram_over_budget")]
)
def test_memory_against_the_budget(classifier, board, figure, code):
    content = classifier()
    need = getattr(kc.check(content, "cortex_m4"), figure)
    assert kc.check(content, board(**{figure: need})).verdict == "runs"
    over = kc.check(content, board(**{figure: need - 1}))
    assert over.verdict == "does_not_run"
    assert codes(over) == [code]
    assert f"{need:,}" in finding(over, code).message
    assert f"{need - 1:,}" in finding(over, code).message


def test_weights_beyond_the_accelerators_cache(classifier, board):
    content = classifier()
    assert codes(kc.check(content, board("coral_edgetpu", parameter_cache_bytes=10**5))) == []
    found = kc.check(content, board("coral_edgetpu", parameter_cache_bytes=1000))
    assert codes(found) == ["parameters_streamed"]
    assert found.verdict == "runs"


def test_channels_that_are_rounded_up(new_builder, conv):
    def padded(filters):
        builder = new_builder()
        source, output = conv(builder, filters=filters)
        return kc.check(builder.content([source], [output]), "ethos_u55_128")

    assert codes(padded(32)) == codes(padded(31)) == []
    found = finding(padded(33), "channel_padding")
    assert "45% more work" in found.message
    assert "round_to=16" in found.fix


def test_dead_layer_is_told(new_builder, conv):
    builder = new_builder()
    source, features = conv(builder)
    dead = builder.tensor((1, 8, 8, 8), scales=(7.8e-9,), name="model_1/gate_1/Relu")
    builder.operator("RELU", [features], [dead])
    found = kc.check(builder.content([source], [dead]), "cortex_m4")
    assert codes(found) == ["degenerate_scale"]
    assert finding(found, "degenerate_scale").layer == "gate"
    assert "7.8e-09" in finding(found, "degenerate_scale").message


@pytest.mark.parametrize("cut", [8, 20, 100, 2000])
def test_truncated_file_gets_a_verdict(classifier, cut):
    verdict = kc.check(classifier()[:cut], "cortex_m4")
    assert verdict.verdict == "does_not_run"
    assert codes(verdict) == ["corrupt_file"]
    assert "truncated or corrupt" in verdict.findings[0].message


def test_empty_file_gets_a_verdict(tmp_path):
    path = tmp_path / "empty.tflite"
    path.write_bytes(b"")
    assert codes(kc.check(path, "cortex_m4")) == ["corrupt_file"]


@pytest.mark.parametrize("model", ["nowhere.tflite", b"PK\x03\x04 something else", 7])
def test_what_is_no_tflite_file_is_refused(model):
    with pytest.raises(FlatbufferError):
        kc.check(model, "cortex_m4")


def test_unknown_profile_and_bad_profile(classifier, board):
    with pytest.raises(UnknownNameError, match="Did you mean 'cortex_m4'"):
        kc.check(classifier(), "cortex-m4")
    with pytest.raises(ProfileError, match="line 3"):
        kc.check(classifier(), board(sram_bytes=-1))


def test_json_is_the_contract_and_serializes(with_island):
    verdict = kc.check(with_island, "coral_edgetpu")
    fields = json.loads(json.dumps(verdict.to_json()))
    wanted = {"profile", "verdict", "accelerated_macs", "flash_bytes", "sram_bytes", "findings"}
    assert wanted <= set(fields)
    assert fields["profile"] == "coral_edgetpu"
    for entry in fields["findings"]:
        assert {"code", "operator", "layer", "message", "fix"} <= set(entry)
    assert [entry["runs_on"] for entry in fields["operators"]] == ["Edge TPU", *["CPU"] * 4]
    assert json.dumps(kc.check(b"", "coral_edgetpu").to_json())


def test_text_and_html_show_the_findings(with_island):
    verdict = kc.check(with_island, "ethos_u55_128")
    text, page = str(verdict), verdict._repr_html_()
    for words in ("float_island", "layer swell", "(estimate)", "MACs"):
        assert words in text
    assert "<table>" in page and "float_island" in page
    assert "corrupt" in str(kc.check(b"", "cortex_m4"))


def test_path_bytes_and_converted_model_are_alike(classifier, tmp_path):
    content = classifier()
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    carrier = type("Converted", (), {"content": content})()
    assert {str(kc.check(m, "cortex_m7")) for m in (content, path, str(path), carrier)} == {
        str(kc.check(content, profile.get("cortex_m7")))
    }


def dense(builder, inputs, units):
    """Return the bytes of one FULLY_CONNECTED."""
    source, target = builder.tensor((1, inputs)), builder.tensor((1, units))
    data = np.random.default_rng(0).integers(-127, 128, (units, inputs))
    weights = builder.tensor((units, inputs), data=data, scales=(0.1,) * units)
    builder.operator("FULLY_CONNECTED", [source, weights, -1], [target], version=4)
    return builder.content([source], [target])


@pytest.mark.parametrize(
    ("name", "verdict"), [("ethos_u65", "runs"), ("cortex_m7", "does_not_run")]
)
def test_the_work_of_a_check_does_not_grow_with_the_weights(new_builder, name, verdict):
    large, small = dense(new_builder(), 1280, 4096), dense(new_builder(), 16, 32)
    assert len(large) > 5_000_000
    assert kc.check(large, name).verdict == verdict
    kc.check(small, name)  # reads the profile
    # A finding about memory has a few more words.
    assert count_calls(lambda: kc.check(large, name)) < 1.2 * count_calls(
        lambda: kc.check(small, name)
    )


def test_a_check_imports_no_framework(new_builder, tmp_path):
    path = tmp_path / "dense.tflite"
    path.write_bytes(dense(new_builder(), 16, 32))
    code = (
        "import sys, keras_compress as kc\n"
        f"kc.check({str(path)!r}, 'ethos_u65')\n"
        "assert not {'tensorflow', 'keras', 'tf_keras', 'jax', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
