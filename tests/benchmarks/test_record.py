"""Records of long scripts survive kills."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from record import Record


def test_a_script_that_starts_again_finds_its_rows(tmp_path):
    Record("fuzz", {"seed": 0}, tmp_path).add({"number": 3})
    again = Record("fuzz", {"seed": 0}, tmp_path)
    assert (again.found, again.rows) == (1, [{"number": 3}])


def test_other_settings_begin_anew(tmp_path):
    Record("fuzz", {"seed": 0}, tmp_path).add({"number": 3})
    assert Record("fuzz", {"seed": 1}, tmp_path).rows == []


def test_a_line_that_was_cut_short_does_not_count(tmp_path):
    first = Record("fuzz", {"seed": 0}, tmp_path)
    first.add({"number": 3})
    with open(first.path, "a") as file:
        file.write('{"number": 4, "out')
    again = Record("fuzz", {"seed": 0}, tmp_path)
    again.add({"number": 4})
    assert again.rows == [{"number": 3}, {"number": 4}]
