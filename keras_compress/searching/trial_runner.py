"""Trials carried out up to an epoch, and their results."""

import dataclasses

from keras_compress.searching.jobs import Job
from keras_compress.searching.objectives import Objectives
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

    def expected_seconds(self, until):
        """Return the seconds that a trial takes up to an epoch; 0 before any was trained."""
        trained = [trial for trial in self.trials.values() if trial.epochs]
        return until * max((trial.seconds / trial.epochs for trial in trained), default=0.0)

    def _job(self, number, recipe, until):
        folder = self._plan.folder / ("plain" if number == PLAIN else f"trial_{number:04d}")
        return Job(number=number, recipe=recipe, until=until, folder=str(folder))

    def _outcomes(self, jobs):
        """Run what is not recorded; return (job, outcome) in the order of the jobs."""
        keys = {job: f"trial {job.number} epoch {job.until}" for job in jobs}
        missing = [job for job in jobs if self._ledger.recorded(keys[job]) is None]
        if missing:
            for job, outcome in self._plan.executor.run(missing, self._context):
                self._ledger.record(keys[job], outcome)
                self._ledger.record("seconds", self._clock.spent())
                self._bar.update(self._clock.spent(), max(job.number + 1, 0))
        return [(job, self._ledger.recorded(keys[job])) for job in jobs]

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
