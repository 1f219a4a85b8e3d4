"""A short run of the long training: nothing is traced anew, and nothing piles up."""

import gc
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import long_training

STEPS = 300


@pytest.mark.verify("trains for 900 steps")
def test_memory_and_functions_stand_still_after_the_warm_up():
    gc.collect()
    gc.freeze()  # What other tests left is not looked through at each sample.
    samples = long_training.train(STEPS, epochs=3)
    kilobytes, objects, traced = long_training.growth(samples, STEPS)
    assert traced == 0
    assert samples[-1][3] > 1  # the phases did have it traced before
    assert objects < STEPS  # not one a step
    assert kilobytes < 20_000
