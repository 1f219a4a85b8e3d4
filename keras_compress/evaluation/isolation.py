"""Running a stranger's file in a process of its own, within limits of time and memory.

An interpreter is C++ that may abort, crash, eat all memory or never end on a file that was made
to do so or was damaged. In a process of its own each of these is an `EvaluationError`. It is no
sandbox: what takes over an interpreter runs with the rights of the user.
"""

import atexit
import contextlib
import dataclasses
import json
import os
import signal
import sys
import threading

import numpy as np

from keras_compress import errors
from keras_compress.errors import EvaluationError, InvalidArgumentError
from keras_compress.support.messages import receive, send
from keras_compress.support.progress import progress_bar

_WORKER = "keras_compress.evaluation._isolation_worker"
# What takes long to import and starts no threads: a process that has threads must not fork.
_PRELOADED = (
    "ai_edge_litert.interpreter",
    "ai_edge_litert.schema_py_generated",
    "tflite_runtime.interpreter",
    "keras_compress.evaluation.runtimes.litert",
)

_idle: list = []
_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Isolation:
    """Limits for a stranger's file.

    Args:
        seconds: How long the file may show no progress: opening it, or one batch.
        memory_bytes: Address space of the process; `None` for the machine's memory.

    Raises:
        InvalidArgumentError: A limit that is not above 0.

    Example:
        >>> limits = Isolation(seconds=10, memory_bytes=4 << 30)
        >>> kc.evaluate("download.tflite", x, y, untrusted=limits)  # doctest: +SKIP
    """

    seconds: float = 600.0
    memory_bytes: int | None = None

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not value > 0:
                raise InvalidArgumentError(f"{name} must be above 0. Received: {name}={value!r}")

    def call(self, what, model, arrays, *, runtime, progress=False, samples=1, **options):
        """Have a job done.

        Args:
            what: `"run"`, `"time"` or `"try"`.
            model: The file, a `flatbuffer.Model`.
            arrays: Numpy arrays that the job takes.
            runtime: Class of the runtime; the other process imports it.
            progress: As for `progress_bar`.
            samples: How many samples there are, for the bar.
            **options: What the job takes besides, plain values.

        Returns:
            Pair (dict, list of arrays).

        Raises:
            EvaluationError: The runtime refuses the file, crashed on it or broke a limit.
        """
        message = {
            "do": what,
            "runtime": [runtime.__module__, runtime.__qualname__],
            "seconds": self.seconds,
            "memory_bytes": self.memory_bytes or machine_memory(),
            "options": {name: _plain(value) for name, value in options.items()},
        }
        arrays = [np.frombuffer(model.content, np.uint8), *arrays]
        with progress_bar(samples, progress) as advance:
            outcome = _take().do(message, arrays, advance)
        if "result" in outcome:
            return outcome["result"], outcome["arrays"]
        raise self._error(outcome, runtime, model)

    def _error(self, outcome, runtime, model):
        if outcome.get("error"):
            kind = getattr(errors, outcome["kind"], EvaluationError)
            takes_text = issubclass(kind, errors.CompressionError)
            takes_text = takes_text and kind is not errors.UnknownNameError
            return (kind if takes_text else EvaluationError)(_one_line(outcome["error"]))
        code = outcome.get("died")
        if "error" in outcome:
            how = f"needs more memory than {self.memory_bytes or machine_memory():,} bytes"
        elif code == -signal.SIGALRM:
            how = f"did not go on within {self.seconds:g} seconds"
        else:
            ended = signal_name(-code) if code < 0 else f"exit code {code}"
            words = _one_line(outcome.get("words", ""))[-300:]
            how = f"crashed ({ended}{': ' if words else ''}{words})"
        return EvaluationError(
            f"The runtime {runtime.name()!r} {how} on this file, in a process of its own. "
            f"Received: {len(model.content):,} bytes. Convert the model anew, and do not open the "
            "file in a process that must live."
        )


def choose(untrusted, source, runtime):
    """Decide where a file is run.

    Args:
        untrusted: `True` or an `Isolation` for a process of its own, `False` for this one,
            `None` to let the source tell: what `kc.convert` returned is run here, bytes and
            paths in a process of their own.
        source: The file as the user gave it.
        runtime: Class of the runtime.

    Returns:
        An `Isolation`, or `None` for this process.

    Raises:
        InvalidArgumentError: Isolation is asked for and the other process could not import the
            runtime.
    """
    if isinstance(untrusted, Isolation):
        wanted = untrusted
    elif untrusted is None:
        wanted = None if hasattr(source, "content") else Isolation()
    else:
        wanted = Isolation() if untrusted else None
    if wanted is None or _is_importable(runtime):
        return wanted
    if untrusted is None:
        return None
    raise InvalidArgumentError(
        "A runtime that is to run in a process of its own must be a class of a module that can be "
        f"imported. Received: {runtime.__module__}.{runtime.__qualname__}"
    )


def machine_memory():
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def signal_name(number):
    """Return the name of a signal, `"signal 34"` where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_all():
    """End the processes that wait for a job."""
    with _lock:
        while _idle:
            _idle.pop().end()


atexit.register(end_all)


def _is_importable(runtime):
    module = sys.modules.get(runtime.__module__)
    spec = getattr(module, "__spec__", None)
    return spec is not None and getattr(module, runtime.__qualname__, None) is runtime


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _one_line(text):
    return " ".join(text.split())


def _take():
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.is_ready():
                return process
            process.end()
    return _Process()


class _Process:
    """The worker, which forks for each job; where there is no fork it does one job and ends."""

    def __init__(self):
        # Only those who isolate pay for these.
        import subprocess
        import tempfile

        self._jobs = 0
        self._owner = os.getpid()
        self._said = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - `end` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _WORKER, *_PRELOADED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=_environment(),
        )

    def is_ready(self):
        """Whether it waits for a job, and is not that of a process forked from."""
        return self._owner == os.getpid() and self._process.poll() is None

    def do(self, message, arrays, advance):
        """Do a job; return its result, its error or how it died."""
        try:
            outcome = self._exchange(message, arrays, advance)
        except BaseException:
            self.end()
            raise
        if outcome.pop("reusable"):
            with _lock:
                _idle.append(self)
        else:
            self.end()
        return outcome

    def _exchange(self, message, arrays, advance):
        self._jobs += 1
        self._said.truncate(0)
        try:
            self._process.stdin.write(b"\n")
            send(self._process.stdin, {"job": self._jobs, **message}, arrays)
            while True:
                answer, found = receive(self._process.stdout)
                if "died" in answer:
                    return {**answer, "words": self._words(), "reusable": True}
                if answer["job"] != self._jobs:
                    continue
                if "advance" not in answer:
                    return {**answer, "arrays": found, "reusable": sys.platform == "linux"}
                advance(answer["advance"])
        except (OSError, EOFError, json.JSONDecodeError, KeyError, ValueError):
            self._process.kill()
            return {"died": self._process.wait(), "words": self._words(), "reusable": False}

    def _words(self):
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace")

    def end(self):
        if self._owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            # A dead process leaves bytes that can no longer be written.
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _environment():
    """The child finds what this process finds; one thread for numpy, so that it can fork."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
