"""benchmarks/call_growth.py: the slope that it fits."""

import sys

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import call_growth


@pytest.mark.parametrize("growth", [0.0, 0.25, 3.0])
def test_the_slope_is_that_of_the_calls_after_the_warm_up(growth):
    warm_up = [10.0, 40.0, 60.0, 61.0, 61.5]
    sizes = [2**20 * size for size in (*warm_up, *(62 + growth * n for n in range(25)))]
    assert call_growth.mebibytes_a_call(sizes) == pytest.approx(growth)
