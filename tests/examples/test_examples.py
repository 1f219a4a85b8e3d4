"""The examples run from the first line to the last."""

import ast
import inspect
import json
import re

import nbclient
import nbformat
import pytest

import keras_compress as kc
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
SCRIPT, SHORT = "digits", "compare_accuracy"
# Notebook -> the metric of its result table, and how much of it the file may lose.
ROADS = {
    "image": ("accuracy", 1.0),
    "audio": ("accuracy", 1.0),
    "text": ("accuracy", 1.0),
    "tabular": ("rmse", 0.01),
}
SPARSITY = {"audio": 0.5, "text": 0.5, "tabular": 0.6}


def _read(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", ROADS)
def test_stored_outputs_show_the_whole_road(name):
    notebook = _read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "google.colab" in code[0].source and "pip install" in code[0].source
    called = "\n".join(cell.source for cell in code)
    for call in ("compress(", "convert(", "evaluate(", "report(", "QuantizationCallback("):
        assert f"kc.{call}" in called
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    shown = [output.data for output in outputs if "data" in output]
    assert any("image/png" in data for data in shown)
    metric, loss = ROADS[name]
    page = next(page for page in _pages(code) if re.search(rf"{metric} +[\d.]+", page))
    before, after = re.search(rf"{metric} +([\d.]+)%? +([\d.]+)%?", page).groups()
    lost = float(before) - float(after)
    assert (lost if metric == "accuracy" else -lost) <= loss
    bytes_before, bytes_after = re.search(r"bytes +([\d,]+) +([\d,]+)", page).groups()
    assert int(bytes_after.replace(",", "")) < int(bytes_before.replace(",", "")) / 2


def test_the_short_notebook_stores_no_outputs():
    assert all(not cell.get("outputs") for cell in _read(SHORT).cells)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_code_of_the_cells_calls_what_there_is(path):
    """`make verify` runs the cells; what they call can be told without."""
    cells = [cell.source for cell in _read(path.stem).cells if cell.cell_type == "code"]
    code = re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", "\n".join(cells))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "kc":
            assert node.attr in kc.__all__, node.attr
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in kc.__all__:
            _bind(node)


def _bind(call):
    """Bind the arguments of a call of `kc.`, by name and number."""
    if getattr(getattr(call.func, "value", None), "id", "") == "kc":
        names = {keyword.arg for keyword in call.keywords} - {None}
        signature = inspect.signature(getattr(kc, call.func.attr))
        signature.bind_partial(*call.args, **dict.fromkeys(names))


def _shortened(cells):
    """Return cells that start without names and train for one epoch at a time."""
    for cell in cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"(\btrain\(\s*\w+,\s*)\d+", r"\g<1>1", cell.source)
            cell.source = re.sub(r"\bepochs=\d+", "epochs=1", cell.source)
            cell.source = re.sub(r"\bsteps = \d+ \*", "steps = 1 *", cell.source)
    return [nbformat.v4.new_code_cell("%reset -f"), *cells]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Name -> the cells of each example, run.

    One process for all: starting TensorFlow takes longer than some of them.
    """
    script = nbformat.v4.new_code_cell((EXAMPLES / f"{SCRIPT}.py").read_text())
    found = {SCRIPT: _shortened([script]), SHORT: _shortened(_read(SHORT).cells)}
    for name in ROADS:
        result = nbformat.v4.new_code_cell("import json\nprint(json.dumps(result.to_json()))")
        found[name] = [*_shortened(_read(name).cells), result]
    whole = nbformat.v4.new_notebook(cells=[cell for cells in found.values() for cell in cells])
    folder = str(tmp_path_factory.mktemp("examples"))
    client = nbclient.NotebookClient(
        whole, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    return found


@pytest.mark.verify("executes every notebook")
def test_examples_run_from_the_first_line_to_the_last(examples):
    # One test: tests of two workers would run all examples twice.
    _check_that_the_script_prints_the_comparison(examples)
    _check_that_the_short_notebook_shows_the_result_and_the_report(examples)
    for name in ROADS:
        _check_that_a_notebook_went_the_whole_road(examples, name)


def _check_that_the_script_prints_the_comparison(examples):
    printed = "".join(o.text for o in examples[SCRIPT][-1].outputs if o.get("name") == "stdout")
    assert "accuracy" in printed.lower()


def _check_that_the_short_notebook_shows_the_result_and_the_report(examples):
    pages = _pages(examples[SHORT])
    assert len(pages) >= 2
    assert any("accuracy" in page.lower() for page in pages)


def _check_that_a_notebook_went_the_whole_road(examples, name):
    cells = examples[name]
    found = json.loads(cells[-1].outputs[-1].text)
    assert found["model"]["bytes"] < found["baseline"]["bytes"] / 2
    assert found["model"]["sparsity"] >= SPARSITY.get(name, 0) - 0.01
    assert "kc-report" in cells[-2].outputs[-1].data["text/html"]


def _pages(cells):
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    shown = [output.data for output in outputs if "data" in output]
    return [data["text/html"] for data in shown if "text/html" in data]
