"""Names in files neither command a terminal nor a compiler, nor are they formulas."""

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.cli import main as cli
from keras_compress.errors import InvalidArgumentError
from keras_compress.exporting.micro.firmware import build_firmware
from keras_compress.reporting.plots import draw_svg

REFUSED = "NULL EOF INT8_MAX M_PI SIZE_MAX MODEL assert errno linux unix stdout offsetof main int"


@pytest.mark.parametrize("name", REFUSED.split())
def test_a_name_that_headers_define_is_no_name_of_a_firmware(classifier, name):
    with pytest.raises(InvalidArgumentError, match="neither a keyword nor a name"):
        build_firmware(classifier(), name)


# A red line and a new title of the window, a line of its own, text that runs backwards.
HOSTILE = ["in\x1b[31m\x1b]0;title\x07", "out\nall checks passed", "w\u202egnp.exe\x9b2J"]


@pytest.fixture
def hostile_file(handmade, tmp_path):
    """A file that adds a constant, with a hostile name for each tensor."""
    tensors = [
        {"name": name, "shape": [1, 2], "type": "FLOAT32"}
        | ({"data": np.ones(2, np.float32).tobytes()} if index == 2 else {})
        for index, name in enumerate(HOSTILE)
    ]
    path = tmp_path / "hostile.tflite"
    path.write_bytes(handmade(tensors, [("ADD", [0, 2], [1], None)], [0], [1]))
    return path


def assert_harmless(text):
    odd = {character for character in text if not character.isprintable()}
    assert odd <= {"\n", "\t"}
    assert not any(line.startswith("all checks passed") for line in text.splitlines())


@pytest.mark.parametrize("verb", ["inspect", "check --profile=cortex_m4", "evaluate", "export"])
def test_names_do_not_reach_the_terminal_as_they_are(verb, hostile_file, tmp_path, capsys):
    name, *flags = verb.split()
    if name == "evaluate":
        np.savez(tmp_path / "x.npz", x=np.ones((4, 2), np.float32), y=np.ones((4, 2)))
        flags.append(f"--data={tmp_path / 'x.npz'}")
    if name == "export":
        flags += ["--format=micro", f"--output={tmp_path / 'out'}"]
    cli.main([name, f"--model={hostile_file}", f"--json={tmp_path / 'found.json'}", *flags])
    captured = capsys.readouterr()
    assert captured.out + captured.err
    assert_harmless(captured.out + captured.err)


def test_results_hold_names_that_can_be_shown(hostile_file):
    names = [tensor["name"] for tensor in kc.inspect(hostile_file).tensors]
    assert all(map(str.isprintable, names))
    assert names[0] == "in\\x1b[31m\\x1b]0;title\\x07"


def test_errors_of_the_command_line_are_harmless(tmp_path, capsys):
    cli.main(["inspect", f"--model={tmp_path}/\x1b[31mabsent.tflite"])
    assert_harmless(capsys.readouterr().err)


def test_a_name_with_dollar_signs_is_no_formula():
    draw_svg(lambda axes: axes.barh(["a$frac{$"], [1.0], label="$\\frac{$"), "weights")
