"""Which trials are better: for further training, and in the end."""

import math

# One point of accuracy too few weighs as much as a tenth too many bytes.
_ACCURACY_WEIGHT = 10.0


def dominates(objectives, other):
    """Tell whether figures are at least as good as others in everything, and better in one.

    Args:
        objectives: `Objectives`.
        other: `Objectives`.
    """
    a, b = _minimized(objectives), _minimized(other)
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def promote(trials, count):
    """Choose the trials to train further: by fronts of accuracy, bytes and time, then accuracy.

    Args:
        trials: List of `Trial`, with objectives.
        count: Number of trials to choose.

    Returns:
        List of trials.
    """
    latest = {trial.number: trial.latest_objectives for trial in trials}

    def key(trial):
        better = sum(dominates(other, latest[trial.number]) for other in latest.values())
        return better, -trial.accuracy, trial.number

    return sorted(trials, key=key)[:count]


def best_of(trials, limits, baseline_accuracy, plain):
    """Choose the winner: the smallest and fastest within all limits, or else the nearest.

    Args:
        trials: List of `Trial`; those that are not complete are left out.
        limits: `Constraints` with numbers.
        baseline_accuracy: Accuracy of the float model.
        plain: `Objectives` of the plain quantized model, the unit of bytes and time.

    Returns:
        A `Trial`.
    """
    complete = [trial for trial in trials if trial.is_complete]
    within = [t for t in complete if not limits.sentence(t.objectives, baseline_accuracy)]
    if within:
        return min(within, key=lambda t: (_relative_cost(t.objectives, plain), -t.accuracy))
    return min(complete, key=lambda t: _distance(limits.excesses(t.objectives, baseline_accuracy)))


def _minimized(objectives):
    return -objectives.accuracy, objectives.flash_bytes, objectives.inference_cost


def _relative_cost(objectives, plain):
    """Return the geometric mean of bytes and time, each as a share of the plain model's."""
    size = objectives.flash_bytes / plain.flash_bytes
    time = max(objectives.inference_cost, 1e-9) / max(plain.inference_cost, 1e-9)
    return math.sqrt(size * time)


def _distance(excesses):
    weights = {"max_accuracy_drop": _ACCURACY_WEIGHT}
    return max(weights.get(name, 1.0) * excess for name, excess in excesses.items())
