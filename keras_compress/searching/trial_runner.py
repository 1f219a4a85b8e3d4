"""Trials carried out up to an epoch, and their results."""

import dataclasses

from keras_compress.searching.jobs import Job
from keras_compress.searching.objectives import Objectives
from keras_compress.searching.outcome import files_are_whole, problem
from keras_compress.searching.records import as_json
from keras_compress.searching.trial import PLAIN, Trial


class TrialRunner:
    """Runs trials that the ledger does not hold yet, and keeps their results.

    Args:
        plan: A `SearchPlan`.
        ledger: A `Ledger`.
        clock: A `SearchClock`.
        bar: A `SearchBar`.

    Attributes:
        trials: Dict from a number to its `Trial`, plain quantization first.
    """

    def __init__(self, plan, ledger, clock, bar):
        self._plan, self._context = plan, plan.context()
        self._ledger, self._clock, self._bar = ledger, clock, bar
        self.trials: dict[int, Trial] = {}

    def run(self, recipes, until, state):
        """Run trials up to an epoch.

        Args:
            recipes: Dict from a trial's number to its `Recipe`.
            until: Epochs in all; 0 measures the files before any training.
            state: State of the trials that do not fail.

        Returns:
            List of the numbers of those that did not fail, in the order of `recipes`.
        """
        jobs = [self._job(number, recipe, until) for number, recipe in recipes.items()]
        for job, outcome in self._outcomes(jobs):
            self.trials[job.number] = self._after(job, outcome, state)
        return [number for number in recipes if self.trials[number].state == state]

    def mark(self, number, state):
        """Change the state of a trial."""
        self.trials[number] = dataclasses.replace(self.trials[number], state=state)

    def forget(self, number, until):
        """Remove the outcome of a trial up to an epoch, so that the next search tries it again."""
        self._ledger.forget(_key(self._job(number, self.trials[number].recipe, until)))

    def expected_seconds(self, until):
        """Return the seconds that a trial takes up to an epoch; 0 before any was trained."""
        trained = [trial for trial in self.trials.values() if trial.epochs]
        return until * max((trial.seconds / trial.epochs for trial in trained), default=0.0)

    def _job(self, number, recipe, until):
        folder = self._plan.folder / ("plain" if number == PLAIN else f"trial_{number:04d}")
        return Job(number=number, recipe=recipe, until=until, folder=str(folder))

    def _outcomes(self, jobs):
        """Run what is not recorded; return (job, outcome) in the order of the jobs."""
        outcomes = {job: self._recorded(job) for job in jobs}
        missing = [job for job in jobs if outcomes[job] is None]
        if missing:
            for job, outcome in self._plan.executor.run(missing, self._context):
                outcomes[job] = self._record(job, outcome)
        return [(job, outcomes[job] or {"error": problem(None)}) for job in jobs]

    def _recorded(self, job):
        """Return the outcome that was recorded, if it is this recipe's and its files are whole."""
        outcome = self._ledger.recorded(_key(job))
        if outcome is None or problem(outcome):
            return None
        is_same = outcome.get("recipe", _described(job)) == _described(job)
        return (
            outcome if is_same and files_are_whole(job.folder, outcome.get("files", {})) else None
        )

    def _record(self, job, outcome):
        incomplete = problem(outcome)
        outcome = {"error": incomplete} if incomplete else dict(outcome)
        self._ledger.record(_key(job), {**outcome, "recipe": _described(job)})
        self._ledger.record("seconds", self._clock.spent())
        self._bar.update(self._clock.spent(), max(job.number + 1, 0))
        return outcome

    def _after(self, job, outcome, state):
        """Return the trial as it is after a job."""
        if "error" in outcome:
            error = outcome["error"]
            return Trial(number=job.number, recipe=job.recipe, state="failed", error=error)
        before = self.trials.get(job.number)
        objectives = before.objectives if before else None
        if outcome.get("objectives"):
            objectives = Objectives(**outcome["objectives"])
        return Trial(
            number=job.number,
            recipe=job.recipe,
            state=state,
            epochs=outcome["epochs"],
            accuracy=outcome["accuracy"],
            objectives=objectives,
            seconds=outcome["seconds"] + (before.seconds if before else 0.0),
            folder=job.folder,
        )


def _key(job):
    return f"trial {job.number} epoch {job.until}"


def _described(job):
    """Return the recipe as it is when it has been written down."""
    return as_json(job.recipe.to_json())
