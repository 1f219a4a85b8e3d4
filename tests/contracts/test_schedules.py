"""What holds for every schedule, whoever adds it."""

import dataclasses
import json

import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.support import plugins

PACKAGE = "keras_compress.pruning.schedules"
LAST_STEP = 40
every_schedule = pytest.mark.parametrize("name", plugins.names(PACKAGE))


def arguments(kind):
    required = [field.name for field in dataclasses.fields(kind) if _is_required(field)]
    return {name: 0.6 if "sparsity" in name else LAST_STEP for name in required}


def _is_required(field):
    return field.default is dataclasses.MISSING


@pytest.fixture
def schedule(name):
    kind = plugins.get(PACKAGE, name)
    return kind(**arguments(kind))


@every_schedule
def test_is_a_frozen_value(schedule):
    assert isinstance(schedule, Schedule)
    assert schedule == dataclasses.replace(schedule)
    assert hash(schedule) == hash(dataclasses.replace(schedule))


@every_schedule
def test_config_goes_through_json(schedule):
    config = json.loads(json.dumps(schedule.get_config()))
    assert type(schedule).from_config(config) == schedule


@every_schedule
def test_sparsity_is_a_fraction_that_never_falls_and_ends_at_the_target(schedule):
    values = [schedule(step) for step in range(3 * LAST_STEP)]
    assert all(isinstance(value, float) and 0 <= value < 1 for value in values)
    assert values == sorted(values)
    assert values[-1] == pytest.approx(0.6)


@every_schedule
def test_updates_masks_at_least_once_and_last_at_the_final_sparsity(schedule):
    steps = [step for step in range(3 * LAST_STEP) if schedule.should_update(step)]
    assert steps
    assert schedule(steps[-1]) == pytest.approx(0.6)


@every_schedule
@pytest.mark.parametrize("value", [1.0, 1.2, -0.1, 80, float("nan"), "0.8", None])
def test_refuses_what_is_no_sparsity(name, value):
    kind = plugins.get(PACKAGE, name)
    argument = next(field.name for field in dataclasses.fields(kind) if "sparsity" in field.name)
    with pytest.raises(InvalidArgumentError, match=rf"\[0, 1\).*Received: {argument}="):
        kind(**arguments(kind) | {argument: value})


@every_schedule
@pytest.mark.parametrize("value", [-1, 1.5, "7", float("inf")])
def test_refuses_what_is_no_step(name, value):
    kind = plugins.get(PACKAGE, name)
    for field in dataclasses.fields(kind):
        if field.name.endswith("step"):
            with pytest.raises(InvalidArgumentError, match=f"Received: {field.name}="):
                kind(**arguments(kind) | {field.name: value})
