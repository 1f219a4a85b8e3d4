"""Trials one after the other in this process."""

from collections.abc import Iterator, Sequence
from typing import Any

from keras_compress.searching import trial_run
from keras_compress.searching.executors.base import Executor, attempt
from keras_compress.searching.jobs import Context, Job


class Local(Executor):
    """Runs trials in this process."""

    def run(self, jobs: Sequence[Job], context: Context) -> Iterator[tuple[Job, dict[str, Any]]]:
        """See `Executor.run`."""
        for job in jobs:
            yield job, attempt(trial_run.run, job, context)
