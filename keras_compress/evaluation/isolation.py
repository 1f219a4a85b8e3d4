"""Run an untrusted file in a separate process, with limits on time and memory.

An interpreter is C++ that may abort, crash, use up all memory or never finish on a malicious or
damaged file. In a separate process each of these becomes an `EvaluationError`. This is not a
sandbox: code that takes over the interpreter runs with the rights of the user.
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
from keras_compress.evaluation.runtimes.base import SECONDS_WITHOUT_PROGRESS
from keras_compress.support import processes
from keras_compress.support.progress import progress_bar
from keras_compress.tflite.model import Model

_WORKER = "keras_compress.evaluation._isolation_worker"
# Modules that are slow to import and start no threads: a process with threads must not fork.
_PRELOADED = (
    "ai_edge_litert.interpreter",
    "ai_edge_litert.schema_py_generated",
    "tflite_runtime.interpreter",
    "keras_compress.evaluation.runtimes.litert",
)


def _start():
    # numpy must use a single thread: a process with more must not fork.
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
        seconds: Longest time without progress, which is to open the file or to run one batch.
        memory_bytes: Address space of the process; `None` for the machine's memory.

    Raises:
        InvalidArgumentError: A limit is not above 0.

    Example:
        >>> limits = Isolation(seconds=10, memory_bytes=4 << 30)
        >>> kc.evaluate("download.tflite", x, y, untrusted=limits)  # doctest: +SKIP
    """

    seconds: float = SECONDS_WITHOUT_PROGRESS
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
        runtime: type[Any],
        progress: bool | Callable[[int], Any] | None = False,
        samples: int = 1,
        **options: Any,
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Run a job in the separate process.

        Args:
            what: `"run"`, `"time"`, `"try"` or `"tensors"`.
            model: The file, a `flatbuffer.Model`.
            arrays: Input arrays of the job.
            runtime: Class of the runtime; the other process imports it. For `"tensors"` a class
                like `TensorValues`, which keeps all tensors.
            progress: As for `progress_bar`.
            samples: Number of samples, for the progress bar.
            **options: Further arguments of the job, plain values.

        Returns:
            Pair (dict, list of arrays).

        Raises:
            EvaluationError: The runtime refuses the file, crashed on it or exceeded a limit.
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
            outcome = _run(message, arrays, advance)
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
            failure = f"needs more memory than {self.memory_bytes or machine_memory():,} bytes"
        elif code == -signal.SIGALRM:
            failure = f"made no progress within {self.seconds:g} seconds"
        else:
            output = _one_line(outcome["output"])[-300:]
            failure = f"crashed ({processes.exit_reason(code)}{': ' if output else ''}{output})"
        return EvaluationError(
            f"The runtime {runtime.name()!r} {failure} on this file, in a separate process. "
            f"Received: {len(model.content):,} bytes. Convert the model again, and do not open the "
            "file in a process that must not crash."
        )


def isolation_for(untrusted, source, runtime):
    """Decide in which process to run a file.

    Args:
        untrusted: `True` or an `Isolation` for a separate process, `False` for this one, `None`
            to decide by the source: the result of `kc.convert` runs in this process, bytes and
            paths in a separate one.
        source: The file as the user passed it.
        runtime: Class of the runtime.

    Returns:
        An `Isolation`, or `None` for this process.

    Raises:
        InvalidArgumentError: Isolation was requested, but the other process could not import the
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
        "To run in a separate process, a runtime must be a class of a module that can be "
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


def _run(message, arrays, advance):
    """Run a job; return its result, its error or the exit code of its crash."""
    with pool.lend() as child:
        job = child.jobs + 1
        # If the process is already dead, receiving its answer shows it.
        with contextlib.suppress(OSError):
            child.send({"job": job, **message}, arrays, announcement=b"\n")
        answer = _receive(child, job)
        while "advance" in answer:
            advance(answer["advance"])
            answer = _receive(child, job)
        # Without fork, the process ends after its one job.
        child.is_reusable = sys.platform == "linux" and child.is_ready()
    return answer


def _receive(child, job):
    """Wait for the next answer to a job, or for the exit code of a process that crashed."""
    try:
        while True:
            answer, arrays = child.receive()
            if "died" in answer:
                return {**answer, "output": child.output()}
            if answer["job"] == job:
                return {**answer, "arrays": arrays}
    except (OSError, EOFError, KeyError, ValueError):
        return {"died": child.kill(), "output": child.output()}
