"""Trials on a Ray cluster."""

import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import Any

from keras_compress.errors import InvalidArgumentError, MissingPackageError
from keras_compress.searching.executors.base import Executor, attempt, failure
from keras_compress.searching.jobs import Context, Job


def run_in_worker(job, context):
    """Run a job in a worker, where TensorFlow is imported for the first time.

    Args:
        job: A `Job`.
        context: The `Context`.

    Returns:
        Its outcome.
    """
    from keras_compress.searching import trial_run

    return attempt(trial_run.run, job, context)


class Ray(Executor):
    """Runs trials as tasks of a Ray cluster that exists already.

    A task whose worker died is started again, up to `retries` times, and continues from its last
    whole epoch. All workers must see the search's folder.

    Args:
        cpus: CPU cores of one trial.
        gpus: GPUs of one trial.
        retries: How often a trial is started again when its worker is lost.
        address: Address of the cluster. Default: the one that is joined, else `RAY_ADDRESS` or
            `"auto"`.

    Raises:
        MissingPackageError: Ray is not installed.
        InvalidArgumentError: No cluster.
    """

    # Runs in a worker.
    task = staticmethod(run_in_worker)

    def __init__(self, cpus=1, gpus=0, retries=3, address=None):
        if importlib.util.find_spec("ray") is None:
            raise MissingPackageError(
                "executor='ray' needs Ray, which this installation lacks. "
                'Install it: pip install "keras-compress[ray]"'
            )
        self._ray = importlib.import_module("ray")
        if not self._ray.is_initialized():
            self._join(address or os.environ.get("RAY_ADDRESS", "auto"))
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
        self._threads = {
            "TF_NUM_INTRAOP_THREADS": str(cpus),
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.workers = max(1, int(self._ray.cluster_resources().get("CPU", 1) // max(cpus, 1)))
        self._contexts = {}

    def run(self, jobs: Sequence[Job], context: Context) -> Iterator[tuple[Job, dict[str, Any]]]:
        """See `Executor.run`."""
        if id(context) not in self._contexts:
            self._contexts[id(context)] = (context, self._ray.put(context))
        _, shared = self._contexts[id(context)]
        task = self._ray.remote(self.task).options(
            **self._options, runtime_env={"env_vars": self._threads}
        )
        waiting = {task.remote(job, shared): job for job in jobs}
        while waiting:
            [done, *_], _ = self._ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(done), self._outcome(done)

    def _outcome(self, task):
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:  # the worker died, at every retry
            return failure(error, self._options["max_retries"] + 1)

    def _join(self, address):
        try:
            self._ray.init(address=address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidArgumentError(
                "executor='ray' runs on a cluster that exists: start one with `ray start --head`, "
                f"or call ray.init() first. Received: address={address!r} ({error})"
            ) from error
