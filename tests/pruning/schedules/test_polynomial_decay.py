import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay


def test_follows_the_formula_of_zhu_and_gupta():
    schedule = PolynomialDecay(0.9, 0.1, begin_step=100, end_step=300)
    for step in (100, 150, 237, 300):
        assert schedule(step) == pytest.approx(0.9 - 0.8 * (1 - (step - 100) / 200) ** 3)


def test_the_end_is_an_update_even_off_the_grid():
    schedule = PolynomialDecay(0.9, end_step=25, frequency=10)
    assert [step for step in range(60) if schedule.should_update(step)] == [0, 10, 20, 25]


def test_a_ramp_without_length_is_a_jump():
    schedule = PolynomialDecay(0.9, begin_step=5, end_step=5)
    assert [schedule(step) for step in (4, 5, 6)] == [0.0, 0.9, 0.9]


def test_refuses_a_falling_ramp():
    with pytest.raises(InvalidArgumentError, match="initial_sparsity=0.8, final_sparsity=0.5"):
        PolynomialDecay(0.5, 0.8, end_step=10)


@pytest.mark.parametrize("power", [0, -2, float("inf"), "3"])
def test_refuses_a_power_without_meaning(power):
    with pytest.raises(InvalidArgumentError, match="Received: power="):
        PolynomialDecay(0.5, end_step=10, power=power)


def test_the_end_cannot_be_forgotten_or_swapped_in_by_position():
    with pytest.raises(TypeError, match="end_step"):
        PolynomialDecay(0.5)
    with pytest.raises(TypeError):
        PolynomialDecay(0.5, 0.0, 0, 4000)
