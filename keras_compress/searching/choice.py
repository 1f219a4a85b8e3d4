"""Which trials are better: for going on, and in the end."""

import dataclasses
import math

from keras_compress.searching.result import dominates

# One point of accuracy too few weighs as much as a tenth too many bytes.
_ACCURACY_WEIGHT = 10.0


def cost(objectives):
    """Return the time of an inference, or the MACs where no time is known."""
    return float(objectives.macs if objectives.latency_ms is None else objectives.latency_ms)


def promoted(trials, count):
    """Choose who is trained further: fronts of accuracy, bytes and time first, then accuracy.

    Args:
        trials: List of `Trial`, with figures.
        count: How many.

    Returns:
        List of trials.
    """
    ranked = sorted(trials, key=lambda t: (_rank(t, trials), -t.accuracy, t.number))
    return ranked[:count]


def best_of(trials, limits, baseline_accuracy, plain):
    """Choose the winner: the smallest and fastest within all limits, or else the nearest.

    Args:
        trials: List of `Trial`.
        limits: `Constraints` with numbers.
        baseline_accuracy: Accuracy of the float model.
        plain: `Objectives` of the plain quantized model, the unit of bytes and time.

    Returns:
        A `Trial`.
    """
    done = [trial for trial in trials if trial.is_complete]
    within = [t for t in done if not limits.sentence(t.objectives, baseline_accuracy)]
    if within:
        return min(within, key=lambda t: (_ratio(t.objectives, plain), -t.accuracy))
    return min(done, key=lambda t: _distance(limits.excesses(t.objectives, baseline_accuracy)))


def described(trial):
    """Say a trial in a few words, for a progress bar."""
    if trial is None:
        return "none yet"
    found = trial.objectives
    return f"{100 * found.accuracy:.2f} %, {found.flash_bytes:,} bytes, {found.macs:,} MACs"


def _rank(trial, trials):
    return sum(dominates(other, _as_judged(trial)) for other in map(_as_judged, trials))


def _as_judged(trial):
    """A trial with the accuracy that it has now, not that of its first file."""
    now = dataclasses.replace(trial.objectives, accuracy=trial.accuracy)
    return dataclasses.replace(trial, objectives=now)


def _ratio(objectives, plain):
    smaller = objectives.flash_bytes / plain.flash_bytes
    return math.sqrt(smaller * max(cost(objectives), 1e-9) / max(cost(plain), 1e-9))


def _distance(excesses):
    weights = {"max_accuracy_drop": _ACCURACY_WEIGHT}
    return max(weights.get(name, 1.0) * value for name, value in excesses.items())
