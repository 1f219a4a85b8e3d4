"""Same seed, data and versions: the same bytes in every process, whatever its hash seed."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.verify("trains, converts and reports everything twice, in two processes")

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks/determinism.py"


def test_this_process_and_a_new_one_make_identical_files_and_reports():
    spec = importlib.util.spec_from_file_location("determinism", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    keras.utils.clear_session()  # Keras numbers the names of a process's layers.
    here = module.road("tiny")
    assert set(here) == {"file", "report"}
    assert module.in_process(["tiny"], hash_seed=2) == {"tiny": here}
