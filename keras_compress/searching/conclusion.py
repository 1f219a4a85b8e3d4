"""The end of a search: the winner, measured once more."""

import dataclasses
from pathlib import Path

from keras_compress.searching.objectives import Objectives, measure
from keras_compress.searching.outcome import file_digests
from keras_compress.searching.result import SearchResult
from keras_compress.searching.trial_order import best_of


def conclude(plan, prepared, ledger, trials, seconds):
    """Choose the best trial and measure its file again, in the runtime that it is for.

    Args:
        plan: The `SearchPlan`.
        prepared: The `Preparation`.
        ledger: The `Ledger`.
        trials: List of `Trial`.
        seconds: Time of the whole search.

    Returns:
        A `SearchResult`.
    """
    limits, accuracy = prepared.limits, prepared.baseline_accuracy
    best = best_of(trials, limits, accuracy, prepared.plain)
    file = file_digests(Path(best.folder), [_file_name(best)])

    def decode(recorded):
        if recorded["file"] != file:
            raise ValueError("measured on another file")
        return Objectives(**recorded["figures"])

    objectives = ledger.remember(
        f"verified {best.number}", lambda: {"file": file, "figures": verified(plan, best)}, decode
    )
    confirmed = dataclasses.replace(best, objectives=objectives, accuracy=objectives.accuracy)
    return SearchResult(
        best=confirmed,
        trials=tuple(confirmed if trial is best else trial for trial in trials),
        constraints=limits,
        baseline_accuracy=accuracy,
        profile=plan.profile,
        unmet=limits.sentence(objectives, accuracy),
        seconds=seconds,
        storage=plan.storage,
    )


def verified(plan, trial):
    """Return the figures of a trial's file, measured by the file itself."""
    file = (Path(trial.folder) / _file_name(trial)).read_bytes()
    x, y = plan.validation
    return measure(file, plan.profile, x, y, plan.tuning.metric).to_json()


def _file_name(trial):
    return "model.tflite" if trial.epochs else "untrained.tflite"
