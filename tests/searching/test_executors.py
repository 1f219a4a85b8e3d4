"""executors/base.py: an error of a trial is its outcome."""

import pytest

from keras_compress.errors import ConversionError
from keras_compress.searching import trial_run
from keras_compress.searching.executors.base import attempt
from keras_compress.searching.executors.local import Local


def raising(*errors):
    """Return a job's function that raises one error a call, then succeeds; and its calls."""
    calls = []

    def run(job, context):
        calls.append(job)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return {"accuracy": 1.0}

    return run, calls


@pytest.mark.parametrize("error", [ValueError, OSError, KeyError, MemoryError, ZeroDivisionError])
def test_any_error_is_a_failed_trial_after_two_attempts(error):
    run, calls = raising(error("cause"), error("cause"))
    outcome = attempt(run, "job", "context")
    assert outcome["error"].startswith(f"{error.__name__}: ")
    assert outcome["error"].endswith("(2 attempts)")
    assert len(calls) == 2


def test_an_accident_is_tried_again():
    run, _ = raising(OSError("disk full"))
    assert attempt(run, "job", "context") == {"accuracy": 1.0}


def test_an_error_of_the_recipe_is_not_tried_again():
    run, calls = raising(ConversionError("no kernel"))
    assert attempt(run, "job", "context") == {"error": "ConversionError: no kernel"}
    assert len(calls) == 1


def test_an_interrupt_ends_the_search():
    run, _ = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        attempt(run, "job", "context")


def test_trials_after_a_failed_one_are_run(monkeypatch):
    run, _ = raising(ValueError("a"), ValueError("a"))
    monkeypatch.setattr(trial_run, "run", run)
    outcomes = dict(Local().run(["first", "second"], None))
    assert "error" in outcomes["first"]
    assert outcomes["second"] == {"accuracy": 1.0}
