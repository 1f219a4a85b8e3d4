"""The readme keeps its word: code runs, calls exist, figures are those of RESULTS.md."""

import ast
import inspect
import re
import subprocess
import sys

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.cli import main as cli
from tests.conftest import ROOT

keras = pytest.importorskip("keras")

README = (ROOT / "README.md").read_text()
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def described(tmp_path, monkeypatch):
    """What the readme says a reader has, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(320, 6)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    trained = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, activation="relu")])
    trained.add(keras.layers.Dense(2, activation="softmax"))
    return {"trained": trained, "x": x, "y": y, "x_test": x, "y_test": y}


def lines(code):
    return [line for line in code.splitlines() if line]


def assert_integer(converted):
    assert all(tensor["dtype"] != "float32" for tensor in converted.inspect().tensors)


def test_five_lines_convert_without_training(described, tmp_path, capsys):
    code, _ = CODE
    assert len(lines(code)) == 5
    exec(code, described)
    assert_integer(described["converted"])
    assert {path.name for path in tmp_path.iterdir()} == {"model.tflite"}
    printed = capsys.readouterr().out
    assert "runs" in printed and "output SQNR" in printed


def test_fifteen_lines_prune_and_quantize_in_fit(described, tmp_path):
    _, code = CODE
    assert len(lines(code)) <= 15
    exec("import keras_compress as kc\n" + code, described)
    assert described["result"].model.sparsity == pytest.approx(0.75, abs=0.02)
    assert_integer(described["converted"])
    assert {path.name for path in tmp_path.iterdir()} == {"model.tflite", "report.html"}


@pytest.mark.verify("trains and analyzes a network, as a newcomer does")
def test_getting_started_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/getting_started.md").read_text()
    names = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, names)
    assert names["verdict"].verdict == "runs"
    assert_integer(names["better"])
    *_, command = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    program, *arguments = command.split()
    assert program == "keras-compress" and cli.main(arguments) == cli.DONE
    assert {path.name for path in tmp_path.iterdir()} == {"model.tflite", "report.html", "firmware"}


def test_it_is_read_in_minutes():
    assert len(README.split()) <= 900
    results = README.split("## Results")[1].split("\n## ")[0]
    assert results.count("\n| ") <= 2 + 5


@pytest.mark.parametrize(
    ("page", "translation"),
    [
        ("README.md", "README.zh.md"),
        ("docs/getting_started.md", "docs/getting_started.zh.md"),
    ],
)
def test_translations_have_the_same_code_and_figures(page, translation):
    blocks, rows = (
        [
            re.findall(pattern, (ROOT / path).read_text(), re.DOTALL | re.MULTILINE)
            for path in (page, translation)
        ]
        for pattern in (r"```.*?```", r"^\| resnet8.*?$")
    )
    assert blocks[0] == blocks[1] and rows[0] == rows[1]


COMMANDS = sorted(set(re.findall(r"`((?:make|keras-compress|python) [^`]+)`", README)))


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("python")])
def test_commands_exist(command):
    program, first, *_ = command.split()
    if program == "make":
        arguments = ["make", "--dry-run", first]
    else:
        verb = [] if first.startswith("--") else [first]
        arguments = [sys.executable, "-m", "keras_compress", *verb, "--help"]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.verify("each script starts TensorFlow")
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python")])
def test_scripts_start(command):
    script = ROOT / command.split()[1]
    if "argparse" not in script.read_text():
        return  # It takes no arguments, so that it could only be run whole.
    arguments = [sys.executable, script, "--help"]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def _calls(page):
    """Yield each `kc.` expression between backticks that is Python."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for span in re.findall(r"`(kc\.[^`]+)`", text):
        # `name=` alone stands for an argument of any value.
        whole = re.sub(r"=(?=[,)])", "=None", span).replace("...", "None")
        try:
            yield span, ast.parse(whole, mode="eval").body
        except SyntaxError:
            raise AssertionError(f"{page}: {span} is no Python") from None


@pytest.mark.parametrize("page", PAGES)
def test_calls_in_words_exist_with_their_arguments(page):
    for span, tree in _calls(page):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "kc":
                assert node.attr in kc.__all__, span
            if isinstance(node, ast.Call) and getattr(node.func, "value", None) is not None:
                _check_arguments(span, node)


def _check_arguments(span, call):
    if getattr(call.func.value, "id", "") != "kc":
        return
    signature = inspect.signature(getattr(kc, call.func.attr))
    named = {keyword.arg for keyword in call.keywords}
    assert named <= set(signature.parameters), span
    # `kc.PolynomialDecay(initial_sparsity=, ...)` names what it takes, and not all that it needs.
    signature.bind_partial(*call.args, **dict.fromkeys(named))


def test_tables_of_figures_are_those_of_the_results():
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text().splitlines()
    part = README.split("## Results")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) > 3
    stale = [row for row in rows if row not in results]
    assert not stale, "run python benchmarks/readme_tables.py"


def test_links_lead_to_files_and_the_picture_is_small():
    for text in (README, (ROOT / "README.zh.md").read_text()):
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            assert "://" in link or (ROOT / link).is_file(), link
    assert (ROOT / "docs/images/report.png").stat().st_size < 150_000


def test_every_profile_is_in_the_table_of_targets():
    table = README.split("## Targets")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(kc.profiles())
