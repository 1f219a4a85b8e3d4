"""The examples run from the first line to the last."""

import os
import subprocess
import sys

import nbclient
import nbformat

from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"


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
