import copy
import json
import pickle
import subprocess
import sys

import pytest

import keras_compress as kc
from keras_compress.edge_profiles import profile
from keras_compress.errors import InvalidArgumentError, ProfileError, UnknownNameError


@pytest.mark.parametrize("name", kc.profiles())
def test_each_profile_of_the_package_reads_and_names_itself(name):
    target = profile.get(name)
    assert target.name == name
    assert str(target) == f"{name}: {target.title}"
    assert set(target.weight_bits) <= {4, 8, 16, 32}
    assert target.activation_bits == target.activation_bits_supported[0]


@pytest.mark.parametrize("name", kc.profiles())
def test_each_memory_figure_and_special_rule_has_a_tagged_source(name):
    target = profile.get(name)
    wanted = {
        "flash_bytes": target.flash_bytes is not None,
        "sram_bytes": target.sram_bytes is not None,
        "channel_multiple": target.channel_multiple > 1,
        "per_channel_dense": target.per_channel and not target.per_channel_dense,
        "sparsity": target.sparsity != "none",
    }
    missing = [figure for figure, given in wanted.items() if given and figure not in target.sources]
    assert not missing
    assert all(t.split(":")[0] in {"measured", "seen", "recalled"} for t in target.sources.values())


@pytest.mark.parametrize("name", kc.profiles())
def test_each_row_of_a_table_has_a_tagged_source(name):
    target = profile.get(name)
    for table in (target.operators, target.optimized):
        for operator, rule in table.items():
            sources = [source.strip() for source in rule.source.split(",") if source.strip()]
            assert all(source in target.sources for source in sources), (operator, rule.source)
            if "runtime 1" in rule.note:
                assert "runtime_versions" in target.unconfirmed


def test_profile_passes_through_and_copies():
    target = profile.get("coral_edgetpu")
    assert profile.get(target) is target
    assert copy.deepcopy(target) == pickle.loads(pickle.dumps(target)) == target
    assert hash(target) == hash(copy.deepcopy(target))


def test_values_that_conversion_builds_on():
    assert not profile.get("coral_edgetpu").per_channel_dense
    assert profile.get("generic_int16x8").activation_bits == 16
    assert profile.get("generic_int16x8").input_type == "int16"
    assert profile.get("float32").is_float
    assert not profile.get("generic_int8").is_float
    assert profile.get("cortex_m4").int4
    assert profile.get("cortex_m4").unsupported == "error"
    assert profile.get("cortex_m4").channel_multiple == 4


def test_unconfirmed_figures_are_listed():
    assert "per_channel_dense" in profile.get("coral_edgetpu").unconfirmed
    assert "sram_bytes" not in profile.get("cortex_m4").unconfirmed


def test_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'cortex_m7'") as caught:
        profile.get("cortexm7")
    assert "coral_edgetpu" in str(caught.value)


@pytest.mark.parametrize("value", [None, 7, ["cortex_m4"]])
def test_neither_name_nor_path_nor_profile(value):
    with pytest.raises(InvalidArgumentError, match="A profile must be a name"):
        profile.get(value)


def test_own_file_extends_a_profile(tmp_path):
    path = tmp_path / "my_board.toml"
    path.write_text(
        'extends = "cortex_m4"\ntitle = "My board"\nsram_bytes = 65536\n'
        '[sources]\nsram_bytes = "seen: datasheet"\n'
    )
    for given in (path, str(path)):
        board = profile.get(given)
        assert (board.name, board.sram_bytes, board.activation_bits) == ("my_board", 65536, 8)
        assert board.flash_bytes == profile.get("cortex_m4").flash_bytes
        assert board.sources["sram_bytes"] == "seen: datasheet"
        assert "flash_bytes" in board.sources


def test_own_file_extends_another_of_the_same_folder(tmp_path):
    (tmp_path / "base.toml").write_text('title = "Base"\nchannel_multiple = 8\n')
    (tmp_path / "board.toml").write_text('extends = "base"\ntitle = "Board"\n')
    assert profile.get(tmp_path / "board.toml").channel_multiple == 8


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('title = "T"\nweight_bits = [7]\n', 2, "weight_bits must be a list of 4, 8, 16"),
        ('title = "T"\nweight_bits = []\n', 2, "weight_bits must be"),
        ('title = "T"\n\nsram_bytes = "256K"\n', 3, "a whole number of bytes above 0"),
        ('title = "T"\nsram_bytes = true\n', 2, "a whole number of bytes above 0"),
        ('title = "T"\nper_channel = 1\n', 2, "per_channel must be true or false"),
        ('title = "T"\n# x\ninput_type = "int4"\n', 3, "int8, uint8, int16, float32"),
        ('title = "T"\nunsuported = "cpu"\n', 2, "Did you mean 'unsupported'"),
        ('title = "T"\nunsupported = "crash"\n', 2, '"cpu" or "error"'),
        ('title = "T"\n[sources]\nsram_bytes = 3\n', 2, "sources must be a table"),
        ('title = "T"\nextends = "cortex_m9"\n', 2, "Known: .*cortex_m4"),
        ('title = "T"\nsram_bytes = \n', 2, "must be TOML"),
    ],
)
def test_bad_file_is_refused_with_the_line_and_what_is_allowed(tmp_path, text, line, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=words) as caught:
        profile.get(path)
    assert f"line {line}" in str(caught.value)
    assert "bad.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weight_bits = [8]\n", "needs a title"),
        ('extends = "bad"\ntitle = "T"\n', "extends is circular"),
    ],
)
def test_bad_file_as_a_whole(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=words):
        profile.get(path)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(ProfileError, match="must be a readable TOML file"):
        profile.get(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="must be a readable TOML file"):
        profile.get(binary)


def test_profiles_import_neither_tensorflow_nor_keras():
    code = (
        "import sys, keras_compress as kc\n"
        "from keras_compress.edge_profiles import profile\n"
        "[profile.get(name) for name in kc.profiles()]\n"
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", kc.profiles())
def test_each_entry_of_a_table_names_a_source_and_an_operator(name):
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    target = profile.get(name)
    custom = {"TFLM_DECODE", "ethos-u", "edgetpu-custom-op", "*"}
    for table in (target.operators, target.optimized):
        for operator, rule in table.items():
            assert hasattr(BuiltinOperator, operator) or operator in custom
            assert set(rule.fatal) <= set(rule.limits)
            given = {source.strip() for source in rule.source.split(",")} - {""}
            assert given <= set(target.sources) | set(getattr(target.fallback, "sources", {}))
            assert given or operator == "*"


@pytest.mark.parametrize("name", kc.profiles())
def test_json_of_a_profile_serializes(name):
    fields = json.loads(json.dumps(profile.get(name).to_json()))
    assert fields["name"] == name
    assert isinstance(fields["operators"], dict)


OPERATORS = 'title = "T"\n[operators]\nADD = {}\n'


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("CONV2D = {}", "unknown operator 'CONV2D'. Did you mean 'CONV_2D'"),
        ("MUL = true", "must be a table of limits"),
        ("MUL = { typs = [] }", "unknown limit 'typs'. Did you mean 'types'"),
        ('MUL = { types = "int8" }', "types of MUL must be a list of element types"),
        ("MUL = { max_rank = 0 }", "max_rank of MUL must be a whole number above 0"),
        ("MEAN = { reduction = { axis = 3 } }", "reduction of MEAN must be a table with axes"),
        ("MUL = { note = 3 }", "note of MUL"),
    ],
)
def test_bad_operator_is_refused_with_its_line(tmp_path, entry, words):
    path = tmp_path / "bad.toml"
    path.write_text(f"{OPERATORS}{entry}\n")
    with pytest.raises(ProfileError) as caught:
        profile.get(path)
    assert words in str(caught.value)
    assert "bad.toml, line 4" in str(caught.value)


def test_own_table_is_laid_over_the_one_it_extends(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text(
        'extends = "cortex_m4"\ntitle = "T"\n[operators]\n'
        'TILE = { types = ["int8"] }\nELU = false\n'
    )
    board = profile.get(path)
    assert "TILE" in board.operators and "ELU" not in board.operators
    assert board.operators["ADD"] == profile.get("cortex_m4").operators["ADD"]


def test_limits_of_all_operators_yield_to_those_of_one(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text(
        'title = "T"\n[operators."*"]\nmax_rank = 4\nper_channel = false\n'
        "[operators]\nADD = {}\nCONV_2D = { per_channel = true }\n"
    )
    table = profile.get(path).operators
    assert table["ADD"].limits["max_rank"].value == 4
    assert not table["ADD"].limits["per_channel"].value
    assert table["CONV_2D"].limits["per_channel"].value
    assert set(table) == {"ADD", "CONV_2D"}


@pytest.mark.parametrize(
    ("name", "litert", "micro"),
    [
        ("android_cpu", True, False),
        ("cortex_m4", False, True),
        ("ethos_u65", False, False),
        ("generic_int8", False, False),
    ],
)
def test_a_profile_says_which_interpreter_executes_its_files(name, litert, micro):
    target = profile.get(name)
    assert (target.runs_in_litert, target.runs_in_tflite_micro) == (litert, micro)


def test_fallback_is_a_profile_and_must_exist(tmp_path):
    assert profile.get("ethos_u65").fallback.engine == "CPU (TFLite Micro)"
    path = tmp_path / "board.toml"
    path.write_text('title = "T"\nfallback = "cortex_m9"\n')
    with pytest.raises(ProfileError, match="line 2: unknown profile 'cortex_m9'.*cortex_m4"):
        profile.get(path)
