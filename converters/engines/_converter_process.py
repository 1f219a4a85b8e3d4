"""The process that TensorFlow's converter runs in, kept for the next conversion for a while.

Importing TensorFlow takes longer than most conversions. A process that has done its job well
waits a minute for another one.
"""

import contextlib

from keras_compress.support import processes

_WORKER = "keras_compress.converters.engines._tensorflow_worker"


def _start():
    return processes.Child(
        _WORKER,
        str(pool.idle_s),
        environment=processes.tensorflow_environment(),
        answers=False,
    )


# What a conversion leaves behind in TensorFlow adds up, hence the limit of jobs.
pool = processes.Pool(_start, idle_s=60, jobs=20)


def run(job, timeout_s, tick):
    """Have a job done, by a process that waits for one or by a new one.

    Args:
        job: `pathlib.Path` of the job's folder.
        timeout_s: Seconds after which the process is ended.
        tick: Called without arguments again and again while the job runs.

    Returns:
        A `processes.Outcome`. Its exit code is 0 for a job that was done and 1 for one that was
        refused.
    """
    with pool.lend() as child:
        exit_code = _do(child, job, timeout_s, tick)
        child.is_reusable = exit_code in (0, 1)
        return processes.Outcome(exit_code, child.output())


def _do(child, job, timeout_s, tick):
    answer = job / "exit_code"
    # A process that has just ended leaves a broken pipe, and its own exit code.
    with contextlib.suppress(BrokenPipeError):
        child.send({"folder": str(job)})
    ended_with = child.wait(timeout_s, tick, answer.exists)
    return int(answer.read_text()) if answer.exists() else ended_with
