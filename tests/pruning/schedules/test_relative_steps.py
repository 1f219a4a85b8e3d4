"""Schedules whose steps are fractions or epochs: their values are those of numbers."""

import json

import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.support import plugins
from keras_compress.support.steps import TrainingLength

LENGTH = TrainingLength(epochs=10, updates_per_epoch=40)
UNKNOWN = TrainingLength(epochs=10)
E = kc.Epochs
# A schedule with steps in fractions or epochs, and the same one in numbers.
PAIRS = [
    (
        kc.PolynomialDecay(0.8, begin_step=0.1, end_step=0.5, frequency=0.05),
        kc.PolynomialDecay(0.8, begin_step=40, end_step=200, frequency=20),
    ),
    (
        kc.PolynomialDecay(0.8, begin_step=E(1), end_step=0.5, frequency=20),
        kc.PolynomialDecay(0.8, begin_step=40, end_step=200, frequency=20),
    ),
    (kc.CosineDecay(0.8, end_step=E(4.5)), kc.CosineDecay(0.8, end_step=180)),
    (kc.ConstantSparsity(0.5, E(2), 1.0, E(1)), kc.ConstantSparsity(0.5, 80, 400, 40)),
    (kc.ConstantSparsity(0.5, 0.25), kc.ConstantSparsity(0.5, 100)),
    (kc.OneShot(0.5, step=0.25), kc.OneShot(0.5, step=100)),
]
SCHEDULES = "keras_compress.pruning.schedules"


@pytest.mark.parametrize(("relative", "numbers"), PAIRS)
def test_the_length_of_the_training_makes_them_numbers(relative, numbers):
    assert relative.at(LENGTH) == numbers
    assert numbers.at(LENGTH) is numbers


@pytest.mark.parametrize(("relative", "numbers"), PAIRS)
def test_the_last_sparsity_needs_no_length(relative, numbers):
    assert relative.last_sparsity == numbers(10_000)
    assert numbers.complete_at <= 200


@pytest.mark.parametrize(("relative", "numbers"), PAIRS)
def test_files_keep_them(relative, numbers):
    for schedule in (relative, numbers):
        config = json.loads(json.dumps(plugins.to_config(SCHEDULES, schedule)))
        assert plugins.from_config(SCHEDULES, config) == schedule


@pytest.mark.parametrize("schedule", [relative for relative, _ in PAIRS])
def test_without_a_length_they_have_no_values(schedule):
    with pytest.raises(InvalidArgumentError, match="has values only in fit"):
        schedule.should_update(3)


@pytest.mark.parametrize(
    ("schedule", "is_known_in_time"),
    [
        (kc.PolynomialDecay(0.8, begin_step=E(1), end_step=0.5), True),
        (kc.PolynomialDecay(0.8, end_step=0.5), False),
        (kc.PolynomialDecay(0.8, begin_step=E(0.5), end_step=0.5), False),
        (kc.PolynomialDecay(0.8, begin_step=E(1), end_step=500), False),
        (kc.PolynomialDecay(0.8, begin_step=3, end_step=500), True),
        (kc.ConstantSparsity(0.5, 0, 0.5), True),
        (kc.ConstantSparsity(0.5, 0, 0.5, frequency=0.1), False),
        (kc.OneShot(0.5, step=E(1)), True),
        (kc.OneShot(0.5, step=0.01), False),
    ],
)
def test_before_the_length_is_known_some_can_wait(schedule, is_known_in_time):
    schedule.check_length(LENGTH)
    if is_known_in_time:
        schedule.check_length(UNKNOWN)
        assert not schedule.at(UNKNOWN).should_update(1)
    else:
        with pytest.raises(InvalidArgumentError, match="steps_per_epoch"):
            schedule.check_length(UNKNOWN)


def test_steps_of_different_kinds_ascend_once_they_are_numbers():
    schedule = kc.PolynomialDecay(0.8, begin_step=300, end_step=0.5)
    with pytest.raises(InvalidArgumentError, match="begin_step=300, end_step=200"):
        schedule.at(LENGTH)
