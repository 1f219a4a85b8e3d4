"""The examples run from the first line to the last."""

import json
import os
import re
import subprocess
import sys

import nbclient
import nbformat
import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
# Notebook -> the metric of its result table, and how much of it the file may lose.
ROADS = {
    "image": ("accuracy", 1.0),
    "audio": ("accuracy", 1.0),
    "text": ("accuracy", 1.0),
    "tabular": ("rmse", 0.01),
}
SPARSITY = {"audio": 0.5, "text": 0.5, "tabular": 0.6}


def test_script_prints_the_comparison(tmp_path):
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "digits.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "accuracy" in run.stdout.lower()


def test_notebook_runs_and_shows_the_result_and_the_report(tmp_path):
    notebook = nbformat.read(EXAMPLES / "compare_accuracy.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert len(pages) >= 2
    assert any("accuracy" in page.lower() for page in pages)


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
    pages = [data["text/html"] for data in shown if "text/html" in data]
    page = next(page for page in pages if re.search(rf"{metric} +[\d.]+", page))
    before, after = re.search(rf"{metric} +([\d.]+)%? +([\d.]+)%?", page).groups()
    lost = float(before) - float(after)
    assert (lost if metric == "accuracy" else -lost) <= loss
    bytes_before, bytes_after = re.search(r"bytes +([\d,]+) +([\d,]+)", page).groups()
    assert int(bytes_after.replace(",", "")) < int(bytes_before.replace(",", "")) / 2


def _shortened(notebook):
    """Return its cells, to start without names and to train for one epoch at a time."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"(\btrain\(\s*\w+,\s*)\d+", r"\g<1>1", cell.source)
            cell.source = re.sub(r"\bsteps = \d+ \*", "steps = 1 *", cell.source)
    reset = nbformat.v4.new_code_cell("%reset -f")
    found = nbformat.v4.new_code_cell("import json\nprint(json.dumps(result.to_json()))")
    return [reset, *notebook.cells, found]


def test_notebooks_run_from_the_first_cell_to_the_last(tmp_path):
    # One process for all: starting TensorFlow takes as long as some of them.
    roads = {name: _shortened(_read(name)) for name in ROADS}
    whole = nbformat.v4.new_notebook(cells=[cell for cells in roads.values() for cell in cells])
    client = nbclient.NotebookClient(
        whole, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    for name, cells in roads.items():
        found = json.loads(cells[-1].outputs[-1].text)
        assert found["model"]["bytes"] < found["baseline"]["bytes"] / 2
        assert found["model"]["sparsity"] >= SPARSITY.get(name, 0) - 0.01
        assert "kc-report" in cells[-2].outputs[-1].data["text/html"]
