"""Running an untrusted file in a process of its own, within limits of time and memory.

An interpreter is C++ that may abort, crash, eat all memory or never end on a file that was made
to do so or was damaged. In a process of its own each of these is an `EvaluationError`. It is no
sandbox: what takes over an interpreter runs with the rights of the user.
"""

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_compress import errors
from keras_compress.errors import EvaluationError, InvalidArgumentError
from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.support import processes
from keras_compress.support.progress import progress_bar
from keras_compress.tflite.model import Model

_WORKER = "keras_compress.evaluation._isolation_worker"
# What takes long to import and starts no threads: a process that has threads must not fork.
_PRELOADED = (
    "ai_edge_litert.interpreter",
    "ai_edge_litert.schema_py_generated",
    "tflite_runtime.interpreter",
    "keras_compress.evaluation.runtimes.litert",
)


def _start():
    # One thread for numpy: a process that has more must not fork.
    return processes.Child(
        _WORKER,
        *_PRELOADED,
        environment=processes.child_environment(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"),
    )


# The worker forks for each job.
pool = processes.Pool(_start)


@dataclasses.dataclass(frozen=True)
class Isolation:
    """Limits for an untrusted file.

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

    def call(
        self,
        what: str,
        model: Model,
        arrays: Sequence[np.ndarray],
        *,
        runtime: type[Runtime],
        progress: bool | Callable[[int], Any] | None = False,
        samples: int = 1,
        **options: Any,
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
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
            outcome = _do(message, arrays, advance)
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
            output = _one_line(outcome["output"])[-300:]
            how = f"crashed ({processes.exit_reason(code)}{': ' if output else ''}{output})"
        return EvaluationError(
            f"The runtime {runtime.name()!r} {how} on this file, in a process of its own. "
            f"Received: {len(model.content):,} bytes. Convert the model anew, and do not open the "
            "file in a process that must live."
        )


def isolation_for(untrusted, source, runtime):
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
    limits: Isolation | None
    if isinstance(untrusted, Isolation):
        limits = untrusted
    elif untrusted is None:
        limits = None if hasattr(source, "content") else Isolation()
    else:
        limits = Isolation() if untrusted else None
    if limits is None or _is_importable(runtime):
        return limits
    if untrusted is None:
        return None
    raise InvalidArgumentError(
        "A runtime that is to run in a process of its own must be a class of a module that can be "
        f"imported. Received: {runtime.__module__}.{runtime.__qualname__}"
    )


def machine_memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _is_importable(runtime):
    module = sys.modules.get(runtime.__module__)
    spec = getattr(module, "__spec__", None)
    return spec is not None and getattr(module, runtime.__qualname__, None) is runtime


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _one_line(text):
    return " ".join(text.split())


def _do(message, arrays, advance):
    """Do a job; return its result, its error or how it died."""
    with pool.lend() as child:
        job = child.jobs + 1
        # A process that is dead already is found out when its answer is awaited.
        with contextlib.suppress(OSError):
            child.send({"job": job, **message}, arrays, announcement=b"\n")
        answer = _receive(child, job)
        while "advance" in answer:
            advance(answer["advance"])
            answer = _receive(child, job)
        # Where there is no fork, the process has done its one job and ends.
        child.is_reusable = sys.platform == "linux" and child.is_ready()
    return answer


def _receive(child, job):
    """Wait for the next answer to a job, or for how the process died that did it."""
    try:
        while True:
            answer, arrays = child.receive()
            if "died" in answer:
                return {**answer, "output": child.output()}
            if answer["job"] == job:
                return {**answer, "arrays": arrays}
    except (OSError, EOFError, KeyError, ValueError):
        return {"died": child.kill(), "output": child.output()}
