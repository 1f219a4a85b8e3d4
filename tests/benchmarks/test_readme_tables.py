"""README.md's rows of figures follow those of RESULTS.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from readme_tables import brought_up

README = """Words | and more.

| network | way | accuracy % |
| --- | --- | --: |
| resnet8 | plain | 70.1 |
| resnet8 | unknown | 3 |

| network | accuracy % |
| --- | --: |
| resnet8 | 70.1 |
"""
RESULTS = """## One

| network | way | accuracy % |
| --- | --- | --: |
| resnet20 | plain | 80 |
| resnet8 | plain | 76.5 |
"""


def test_only_rows_under_the_same_columns_and_words_change():
    assert brought_up(README, RESULTS) == README.replace("plain | 70.1", "plain | 76.5")
    assert brought_up(README, "") == README
