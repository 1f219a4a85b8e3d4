"""The process that TensorFlow's converter runs in, kept for the next conversion for a while.

Importing TensorFlow takes longer than most conversions. A process that has done its job well
waits a minute for another one; it ends by itself then, and with this process in any case.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time

_WORKER = "keras_compress.converters.engines._tensorflow_worker"
_POLL_S = 0.02
# What a conversion leaves behind in TensorFlow adds up.
_JOBS_OF_ONE_PROCESS = 20
# After these a process that waits ends by itself; one that soon will is given no job any more.
_IDLE_S = 60
_FRESH = 0.75

_idle: list = []
_lock = threading.Lock()


def run(job, timeout_s, tick):
    """Have a job done, by a process that waits for one or by a new one.

    Args:
        job: `pathlib.Path` of the job's folder.
        timeout_s: Seconds after which the process is ended.
        tick: Called without arguments again and again while the job runs.

    Returns:
        Pair (exit code, what the process wrote): 0 for a job that was done, 1 for one that was
        refused, a negative signal number for a crash, `None` for a timeout.
    """
    process = _take()
    healthy = False
    try:
        exit_code = process.do(job, timeout_s, tick)
        healthy = exit_code in (0, 1)
        return exit_code, process.words()
    finally:
        if healthy and process.jobs < _JOBS_OF_ONE_PROCESS:
            with _lock:
                _idle.append(process)
        else:
            process.end()


def end_all():
    """End the processes that wait for a job."""
    with _lock:
        while _idle:
            _idle.pop().end()


atexit.register(end_all)


def _take():
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.is_ready():
                return process
            process.end()
    return _Process()


class _Process:
    def __init__(self):
        self.jobs = 0
        self._since = time.monotonic()
        self._owner = os.getpid()
        # Both ends share one file position; appending keeps it out of the way of reading.
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - `end` closes it
        self._start_of_words = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, str(_IDLE_S)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=_environment(),
        )

    def is_ready(self):
        """Whether it runs for a while yet, and is not that of a process forked from."""
        is_fresh = time.monotonic() - self._since < _FRESH * _IDLE_S
        return self._owner == os.getpid() and is_fresh and self._process.poll() is None

    def do(self, job, timeout_s, tick):
        self.jobs += 1
        self._start_of_words = self._log.seek(0, os.SEEK_END)
        # A process that has just ended leaves a broken pipe, and its exit code below.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{job}\n".encode())
            self._process.stdin.flush()
        deadline = time.monotonic() + timeout_s
        answer = job / "exit_code"
        while time.monotonic() < deadline:
            ended = self._process.poll()
            if answer.exists():
                return int(answer.read_text())
            if ended is not None:
                return ended
            tick()
            time.sleep(_POLL_S)
        return None

    def words(self):
        """What it wrote during its last job, which is over."""
        self._since = time.monotonic()
        self._log.seek(self._start_of_words)
        return self._log.read().decode(errors="replace")

    def end(self):
        if self._owner != os.getpid():
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


def _environment():
    environment = dict(os.environ)
    # The child finds what this process finds, also where a notebook has changed the path.
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    # A GPU that this process holds would leave the child no memory, and it needs none.
    environment["CUDA_VISIBLE_DEVICES"] = "-1"
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Its warnings are of TensorFlow's own parts; its last words must not drown in them.
    environment["PYTHONWARNINGS"] = "ignore"
    return environment
