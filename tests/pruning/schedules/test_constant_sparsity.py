import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity


def test_updates_go_on_without_an_end():
    schedule = ConstantSparsity(0.5, begin_step=3, frequency=10)
    assert [step for step in range(40) if schedule.should_update(step)] == [3, 13, 23, 33]
    assert schedule.should_update(10_003)


def test_updates_stop_at_the_end():
    schedule = ConstantSparsity(0.5, begin_step=3, end_step=20, frequency=10)
    assert [step for step in range(40) if schedule.should_update(step)] == [3, 13, 20]


def test_refuses_an_end_before_the_begin():
    with pytest.raises(InvalidArgumentError, match="Received: begin_step=9, end_step=3"):
        ConstantSparsity(0.5, begin_step=9, end_step=3)


@pytest.mark.parametrize("frequency", [0, -1, 1.5])
def test_refuses_a_frequency_below_one(frequency):
    with pytest.raises(InvalidArgumentError, match=f"Received: frequency={frequency}"):
        ConstantSparsity(0.5, frequency=frequency)
