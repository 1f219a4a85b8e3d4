"""The base of executors."""

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_compress.errors import CompressionError
from keras_compress.searching.jobs import Context, Job

_ATTEMPTS = 2


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


def attempt(run: Callable[[Job, Context], dict], job: Job, context: Context) -> dict[str, Any]:
    """Run a job; an error is its outcome, and does not end the search.

    An error of keras_compress says that the recipe does not suit the model. Any other one may be
    an accident (a full disk, memory that another process held) and is tried again.

    Args:
        run: `trial_run.run`.
        job: A `Job`.
        context: The `Context`.

    Returns:
        Its outcome, or `{"error": text}`.
    """
    for attempts in range(1, _ATTEMPTS + 1):
        try:
            return run(job, context)
        except CompressionError as error:
            return failure(error)
        except Exception as error:  # layers, losses and data of users raise errors of any type
            last = failure(error, attempts)
    return last


def failure(error: Exception, attempts: int = 1) -> dict[str, Any]:
    """Return the outcome of a job that raised an error.

    Args:
        error: The error.
        attempts: How often the job was tried.

    Example:
        >>> failure(ValueError("no loss"), attempts=2)
        {'error': 'ValueError: no loss (2 attempts)'}
    """
    count = f" ({attempts} attempts)" if attempts > 1 else ""
    return {"error": f"{type(error).__name__}: {error}{count}"}
