"""steps.py: numbers, fractions and epochs, and what they are in updates."""

import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.support.steps import (
    LATER,
    Epochs,
    TrainingLength,
    as_step,
    check_order,
    is_relative,
)

# fit's argument epochs=10, 43 batches each.
KNOWN = TrainingLength.of({"epochs": 10, "steps": 43})
UNKNOWN = TrainingLength.of({"epochs": 10, "steps": None})


@pytest.mark.parametrize(
    ("value", "step"),
    [
        (0, 0),
        (0.0, 0),
        (Epochs(0), 0),
        (1, 1),
        (np.int64(7), 7),
        (4000.0, 4000),
        (np.float32(0.5), 0.5),
        (1.0, 1.0),
        (Epochs(3), Epochs(3.0)),
    ],
)
def test_steps_keep_their_kind(value, step):
    assert as_step("begin_step", value) == step
    assert type(as_step("begin_step", value)) is type(step)


@pytest.mark.parametrize("value", [-1, -0.1, 2.5, float("nan"), float("inf"), "1", None])
def test_what_is_no_step_is_refused(value):
    with pytest.raises(InvalidArgumentError, match="begin_step must .* Received: begin_step="):
        as_step("begin_step", value)


@pytest.mark.parametrize("number", [-1, float("inf"), "3"])
def test_what_is_no_number_of_epochs_is_refused(number):
    with pytest.raises(InvalidArgumentError, match="Received: kc.Epochs"):
        Epochs(number)


def test_only_fractions_and_epochs_depend_on_the_training():
    assert [is_relative(step) for step in (None, 0, 5, 0.5, Epochs(2))] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("steps", [(5, 4), (0.5, 0.4), (Epochs(2), Epochs(1))])
def test_steps_of_one_kind_ascend(steps):
    with pytest.raises(InvalidArgumentError, match="freeze_step must not come before begin_step"):
        check_order(begin_step=steps[0], freeze_step=steps[1])
    check_order(begin_step=steps[1], freeze_step=steps[0])


def test_steps_of_different_kinds_are_not_compared_yet():
    check_order(begin_step=5000, freeze_step=0.1)


@pytest.mark.parametrize(
    ("step", "updates"),
    [(2000, 2000), (0.5, 215), (1.0, 430), (Epochs(3), 129), (Epochs(0.5), 22)],
)
def test_steps_become_updates(step, updates):
    assert KNOWN.step(step) == updates


@pytest.mark.parametrize("first_epoch", [0, 4, 9])
def test_a_training_that_resumes_has_the_steps_of_the_whole(first_epoch):
    resumed = TrainingLength(10, 43, first_epoch=first_epoch, first_step=43 * first_epoch)
    for step in (2000, 0.5, 0.031, Epochs(3.3)):
        assert resumed.step(step) == KNOWN.step(step)


def test_a_second_training_counts_from_its_own_begin():
    second = TrainingLength(10, 43, first_step=430)
    assert (second.step(0.5), second.step(Epochs(1)), second.end) == (645, 473, 860)


def test_an_update_may_take_several_batches():
    length = TrainingLength.of({"epochs": 10, "steps": 43}, accumulation=4)
    assert (length.step(1.0), length.step(Epochs(1))) == (108, 11)


def test_before_the_length_is_known_steps_lie_far_ahead():
    assert UNKNOWN.step(0.5) == UNKNOWN.step(Epochs(1)) == LATER
    assert UNKNOWN.step(12) == 12


@pytest.mark.parametrize("step", [0.05, Epochs(0.5)])
def test_what_is_needed_before_the_length_is_known_is_refused(step):
    with pytest.raises(InvalidArgumentError, match="Pass steps_per_epoch to fit"):
        UNKNOWN.require("begin_step", step)
    KNOWN.require("begin_step", step)


def test_after_a_restart_steps_of_the_past_are_needed_at_once():
    resumed = TrainingLength(epochs=10, first_epoch=4, first_step=172)
    resumed.require("begin_step", 0.5)
    with pytest.raises(InvalidArgumentError, match="steps_per_epoch"):
        resumed.require("begin_step", Epochs(3))


def test_a_loop_that_tells_nothing_is_told_what_to_pass():
    with pytest.raises(InvalidArgumentError, match="CallbackList"):
        TrainingLength.of(None).require("begin_step", 0.5)
    TrainingLength.of({}).require("begin_step", 12)


def test_before_fit_there_are_only_numbers():
    with pytest.raises(InvalidArgumentError, match="becomes a number when fit begins"):
        TrainingLength().step(0.5)
