"""benchmarks/search_kills.py: a few of its kills."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("optuna", reason="the search needs Optuna: keras-compress[search]")


@pytest.mark.verify("kills whole searches and starts them again")
def test_a_search_that_is_killed_ends_as_an_uninterrupted_one():
    run = subprocess.run(
        [sys.executable, "benchmarks/search_kills.py", "--kills=4", "--saves=2"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert run.stdout.count("'problems': []") == 4
