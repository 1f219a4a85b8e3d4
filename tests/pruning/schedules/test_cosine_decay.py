import math

import pytest

from keras_compress.pruning.schedules.cosine_decay import CosineDecay


def test_is_half_a_cosine():
    schedule = CosineDecay(0.8, 0.2, begin_step=10, end_step=50)
    for step in (10, 20, 37, 50):
        expected = 0.5 - 0.3 * math.cos(math.pi * (step - 10) / 40)
        assert schedule(step) == pytest.approx(expected)


def test_is_slow_at_both_ends():
    schedule = CosineDecay(0.8, end_step=100)
    middle = schedule(55) - schedule(45)
    assert schedule(10) - schedule(0) < middle / 4
    assert schedule(100) - schedule(90) < middle / 4
