"""The base of executors."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any

from keras_compress.searching.jobs import Context, Job


class Executor(abc.ABC):
    """Runs jobs of trials, which do not depend on each other.

    Attributes:
        workers: Jobs that run at the same time.
    """

    workers = 1

    @abc.abstractmethod
    def run(self, jobs: Sequence[Job], context: Context) -> Iterator[tuple]:
        """Run jobs.

        Args:
            jobs: List of `Job`.
            context: The `Context` that they share.

        Yields:
            Tuples (job, outcome) as they are finished, in any order. An outcome is the dict
            that `trial_run.run` returns, or `{"error": text}` for a recipe that failed.
        """


def failure(error: Exception) -> dict[str, Any]:
    """Return the outcome of a job that raised an error of keras_compress."""
    return {"error": f"{type(error).__name__}: {error}"}
