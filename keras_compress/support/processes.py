"""Child processes: start them, wait for them, reuse them, and end them with this process.

C++ that crashes, hangs or runs out of memory ends a child process and not the user's. Modules of
this package run as a `Child`; one that is slow to start waits in a `Pool` for its next job. Other
programs run through `run`.
"""

import atexit
import collections
import contextlib
import dataclasses
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_compress.support import messages

_CHILD = "keras_compress.support._child"
_POLL_S = 0.02
# Fraction of its idle time in which a child may get a job: later it might be about to end itself.
_FRESH = 0.75

_pools: list["Pool"] = []


def python_command(module: str, *arguments: str | os.PathLike) -> list[str]:
    """Return the command that runs a module with this interpreter.

    Args:
        module: The module's name. It is not searched for in the current directory.
        *arguments: Arguments of its command line.

    Returns:
        List of strings.

    Example:
        >>> python_command("this")[1:]
        ['-P', '-m', 'this']
    """
    return [sys.executable, "-P", "-m", module, *(os.fspath(each) for each in arguments)]


def child_environment(**changes: str | None) -> dict[str, str]:
    """Return the environment of a child that can import the same modules as this process.

    Args:
        **changes: Variables to set, or `None` to remove one.

    Returns:
        A copy of this process's environment with the changes.

    Example:
        >>> child_environment(OMP_NUM_THREADS="1")["OMP_NUM_THREADS"]
        '1'
    """
    variables: dict[str, str | None] = {
        **os.environ,
        # A notebook may have changed the path.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # A child's warnings are not shown, and must not hide the last lines of a crash.
        "PYTHONWARNINGS": "ignore",
        **changes,
    }
    return {name: value for name, value in variables.items() if value is not None}


def tensorflow_environment(**changes: str | None) -> dict[str, str]:
    """Return the environment of a child that imports TensorFlow: no GPU, few log messages.

    If this process uses the GPU, no GPU memory is left for the child.

    Args:
        **changes: As for `child_environment`.

    Returns:
        As for `child_environment`.

    Example:
        >>> tensorflow_environment()["CUDA_VISIBLE_DEVICES"]
        '-1'
    """
    log_level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": log_level}
    return child_environment(**{**quiet, **changes})


def exit_reason(exit_code: int) -> str:
    """Return a description of how a process ended.

    Args:
        exit_code: Its exit code, or the negative number of the signal that ended it.

    Returns:
        The signal's name, or the exit code.

    Example:
        >>> exit_reason(-11), exit_reason(3)
        ('SIGSEGV', 'exit code 3')
    """
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def last_lines(output: str, count: int) -> list[str]:
    r"""Return the last lines of a text that are not blank.

    Args:
        output: The text.
        count: Largest number of lines.

    Returns:
        List of lines, with their indentation.

    Example:
        >>> last_lines("one\n\ntwo\nthree\n", 2)
        ['two', 'three']
    """
    return [line.rstrip() for line in output.splitlines() if line.strip()][-count:]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Args:
        exit_code: Its exit code, the negative number of the signal that ended it, or `None` if it
            did not end in time and was killed.
        output: Its output.

    Example:
        >>> Outcome(1, "Usage: ...").summary()
        'exit code 1: Usage: ...'
    """

    exit_code: int | None
    output: str

    @property
    def timed_out(self) -> bool:
        """Whether it did not end in time."""
        return self.exit_code is None

    def summary(self, lines: int = 5) -> str:
        """Return how it ended and the last lines of its output, in one line.

        Args:
            lines: Largest number of lines of the output.

        Returns:
            A string.
        """
        reason = "timeout" if self.exit_code is None else exit_reason(self.exit_code)
        tail = " / ".join(line.strip() for line in last_lines(self.output, lines))
        return f"{reason}: {tail}" if tail else reason


def run(
    command: Sequence[str | os.PathLike], timeout_s: float, environment: dict | None = None
) -> Outcome:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        timeout_s: Seconds after which it is killed, with all processes that it has started.
        environment: Its environment variables. Default: those of this process.

    Returns:
        An `Outcome`; the output is all of standard output, then all of standard error.

    Raises:
        OSError: The program cannot be started.

    Example:
        >>> run([sys.executable, "-c", "print('done')"], timeout_s=60).output.strip()
        'done'
    """
    import subprocess
    import tempfile

    # Files instead of pipes, which processes that outlive the program could keep open.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            process_group=0,
        )
        try:
            exit_code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            exit_code = None
        finally:
            _kill_group(process)
        return Outcome(exit_code, _read(stdout) + _read(stderr))


def _kill_group(process):
    """Kill a process that still runs, and all processes that it has started."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(file):
    file.seek(0)
    return file.read().decode(errors="replace")


class Child:
    """A module that runs jobs one after the other in a separate process.

    It receives jobs as messages (`support/messages.py`) on its standard input and ends when that is
    closed. On Linux it ends with this process even while C++ keeps it busy (`support/_child.py`).
    As a context manager, it ends with the block.

    Args:
        module: Name of the module, which is run with `python_command`.
        *arguments: Arguments of its command line.
        environment: Its environment variables. Default: `child_environment()`.
        answers: Whether it answers with messages on standard output. Otherwise standard output is
            kept for `output`, like standard error.

    Example:
        >>> with Child("this", answers=False) as child:
        ...     _ = child.wait(timeout_s=60)
        ...     child.output().splitlines()[0]
        'The Zen of Python, by Tim Peters'
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: dict | None = None,
        answers: bool = True,
    ):
        # Imported here, because most programs start no process.
        import subprocess
        import tempfile

        self.jobs = 0
        self.is_reusable = False
        self._owner = os.getpid()
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `end` closes it
        # Nothing is ever written to it: the child sees that it is closed.
        lifeline, end = os.pipe()
        self._lifeline = os.fdopen(end, "wb", buffering=0)
        try:
            self._process = subprocess.Popen(
                python_command(_CHILD, str(lifeline), module, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if answers else self._log,
                stderr=self._log,
                env=child_environment() if environment is None else environment,
                pass_fds=(lifeline,) if sys.platform == "linux" else (),
            )
        finally:
            os.close(lifeline)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def requests(self) -> Any:
        """The process's standard input, a binary stream."""
        return self._process.stdin

    def is_ready(self) -> bool:
        """Return whether it runs and was started by this process, not by a parent of a fork."""
        return self._owner == os.getpid() and self._process.poll() is None

    def send(self, message: dict, arrays: Sequence = (), announcement: bytes = b"") -> None:
        """Send a job, and discard the output of the job before it.

        Args:
            message: The job, as `messages.send` takes it.
            arrays: Numpy arrays to send with it.
            announcement: Bytes to send before the message.

        Raises:
            BrokenPipeError: The process has ended.
        """
        self.jobs += 1
        # Both processes share the file's position, at which the child continues to write.
        self._log.seek(0)
        self._log.truncate()
        self.requests.write(announcement)
        messages.send(self.requests, message, arrays)

    def receive(self) -> tuple[dict, list]:
        """Wait for a message from the process.

        Returns:
            Pair of dict and list of arrays.

        Raises:
            EOFError: The process has ended.
        """
        return messages.receive(self._process.stdout)

    def wait(
        self,
        timeout_s: float = math.inf,
        tick: Callable[[], Any] = lambda: None,
        is_done: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Wait for the process to end, or for a condition.

        Args:
            timeout_s: Largest number of seconds to wait. Default: no limit.
            tick: Called repeatedly while waiting.
            is_done: Called repeatedly; returns whether to stop waiting.

        Returns:
            The exit code, or `None` while the process still runs.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            exit_code = self._process.poll()
            if is_done() or exit_code is not None:
                return exit_code
            tick()
            time.sleep(_POLL_S)
        return None

    def output(self) -> str:
        """Return the output of the process since the last job began.

        Returns:
            Standard error, and standard output if it does not answer with messages.
        """
        return _read(self._log)

    def kill(self, grace_s: float = 10.0) -> int:
        """Kill the process, unless it ends on its own in time.

        Args:
            grace_s: Seconds to wait. A process that crashes closes its streams before it ends.

        Returns:
            Its exit code.
        """
        if self.wait(grace_s) is None:
            self._process.kill()
        return self._process.wait()

    def end(self) -> None:
        """Kill the process and close its streams; in a fork of its owner, do nothing."""
        if self._owner != os.getpid():
            return
        self.kill(grace_s=0)
        for stream in (self._process.stdin, self._process.stdout, self._log, self._lifeline):
            # Buffered bytes for a dead process can no longer be written.
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Pool:
    """Child processes of the same kind that wait for their next job.

    They end with this process, or when `end_idle` is called.

    Args:
        start: Called without arguments to start a `Child`.
        idle_s: Seconds after which a waiting child ends itself. It gets no job in the last quarter
            of that time. Default: it waits forever.
        jobs: Number of jobs after which a child is replaced. Default: no limit.

    Example:
        >>> pool = Pool(lambda: Child("keras_compress.my_worker"))
        >>> with pool.lend() as child:  # doctest: +SKIP
        ...     child.send({"do": "this"})
        ...     answer, arrays = child.receive()
        ...     child.is_reusable = True
    """

    def __init__(
        self, start: Callable[[], Child], *, idle_s: float = math.inf, jobs: float = math.inf
    ):
        self.idle_s, self.jobs = idle_s, jobs
        self._start = start
        # (child, time since which it waits). Threads append and pop without a lock, because a fork
        # of this process might find a lock held forever.
        self._idle: collections.deque = collections.deque()
        _pools.append(self)

    @property
    def idle(self) -> list[Child]:
        """The children that wait for a job."""
        return [child for child, _ in self._idle]

    @contextlib.contextmanager
    def lend(self) -> Iterator[Child]:
        """Lend a child for a job: a waiting one if there is one, else a new one.

        The borrower sets `is_reusable` once the job has succeeded. Otherwise, and after an
        exception, the child is ended.

        Yields:
            A `Child`.
        """
        child = self._take()
        child.is_reusable = False
        try:
            yield child
        except BaseException:
            child.end()
            raise
        if child.is_reusable and child.jobs < self.jobs:
            self._idle.append((child, time.monotonic()))
        else:
            child.end()

    def warm(self) -> None:
        """Start a child unless one is waiting, so that the next job finds it ready."""
        if not any(child.is_ready() for child in self.idle):
            self._idle.append((self._start(), time.monotonic()))

    def end_idle(self) -> None:
        """End the children that wait for a job."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop()[0].end()

    def _take(self):
        with contextlib.suppress(IndexError):
            while True:
                child, since = self._idle.pop()
                if child.is_ready() and time.monotonic() - since < _FRESH * self.idle_s:
                    return child
                child.end()
        return self._start()


def end_idle() -> None:
    """End the children of all pools that wait for a job.

    From then on, their CPU time counts as that of this process's children.

    Example:
        >>> end_idle()
    """
    for pool in _pools:
        pool.end_idle()


atexit.register(end_idle)
