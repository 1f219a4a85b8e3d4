"""The child process that runs TensorFlow's converter, kept alive for the next conversion.

Importing TensorFlow takes longer than most conversions, so a process that has finished its job
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


# Memory that TensorFlow does not free after a conversion adds up, hence the limit of jobs.
pool = processes.Pool(_start, idle_s=60, jobs=20)


def run(job, timeout_s, tick):
    """Run a job in a waiting process, or in a new one.

    Args:
        job: `pathlib.Path` of the job's folder.
        timeout_s: Seconds after which the process is killed.
        tick: Called without arguments repeatedly while the job runs.

    Returns:
        A `processes.Outcome`. Its exit code is 0 for a successful job and 1 for a refused one.
    """
    with pool.lend() as child:
        exit_code = _run(child, job, timeout_s, tick)
        child.is_reusable = exit_code in (0, 1)
        return processes.Outcome(exit_code, child.output())


def _run(child, job, timeout_s, tick):
    job_exit_code = job / "exit_code"
    # A process that has just ended leaves a broken pipe, and its own exit code.
    with contextlib.suppress(BrokenPipeError):
        child.send({"folder": str(job)})
    process_exit_code = child.wait(timeout_s, tick, job_exit_code.exists)
    return int(job_exit_code.read_text()) if job_exit_code.exists() else process_exit_code
