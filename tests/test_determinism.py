"""Same seed, data and versions: the same bytes in every process, whatever its hash seed."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks/determinism.py"


def test_files_and_reports_are_identical_from_process_to_process():
    spec = importlib.util.spec_from_file_location("determinism", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    first, second = (module.in_process(["tiny"], seed) for seed in (1, 2))
    assert set(first["tiny"]) == {"file", "report"}
    assert first == second
