"""The child process of `isolation`: it runs each job in a fork of itself, which may crash.

A byte on standard input announces a job; its message follows (`support/messages.py`). The runtime
is loaded once, yet each job starts in memory that no other file has touched.
"""

import contextlib
import ctypes
import gc
import importlib
import mmap
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable

import numpy as np

from keras_compress.errors import CompressionError
from keras_compress.evaluation import execution
from keras_compress.support.messages import answer_stream, receive, send
from keras_compress.tflite import flatbuffer

FORKS = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


class _Job:
    """One job: reads its message, runs it and sends the result."""

    def __init__(self, answers, mark):
        self._answers, self._mark = answers, mark
        self._lock = threading.Lock()

    def run(self):
        """Run the job; an error is sent back like a result."""
        message, arrays = receive(os.fdopen(0, "rb", closefd=False))
        self._mark[0] = 1
        self._number, self._seconds = message["job"], message["seconds"]
        _limit_memory(message["memory_bytes"])
        self._restart_timer()
        content, *arrays = arrays
        try:
            model, runtime = flatbuffer.read(content.tobytes()), _resolve(message["runtime"])
            task = _TASKS[message["do"]]
            result, outputs = task(model, arrays, runtime, self, **message["options"])
        except CompressionError as error:
            self.tell({"error": str(error), "kind": type(error).__name__})
        except MemoryError:
            self.tell({"error": None, "kind": "MemoryError"})
        else:
            self.tell({"result": result}, outputs)

    def advance(self, count):
        """Report `count` more finished samples, and restart the time limit."""
        self._restart_timer()
        self.tell({"advance": count})

    def tell(self, message, arrays=()):
        """Send one message."""
        with self._lock:
            send(self._answers, {"job": self._number, **message}, arrays)

    def _restart_timer(self):
        # The signal has no handler, so that it ends the process, whatever C++ is doing.
        signal.setitimer(signal.ITIMER_REAL, self._seconds)


def _run(model, arrays, runtime, job, **options):
    outputs = execution.run_file(model, arrays, runtime=runtime, progress=job.advance, **options)
    return {"rows": outputs.rows, "threads": outputs.threads}, outputs.arrays


def _time(model, arrays, runtime, _, **options):
    return execution.time_file(model, arrays, runtime=runtime, **options).to_json(), ()


def _try(model, _, runtime, __):
    with runtime(model) as opened:
        opened.invoke([np.zeros(tensor.shape, tensor.dtype) for tensor in opened.inputs])
    return {}, ()


def _tensors(model, arrays, interpreter, job, **options):
    """Run each batch, one row of `arrays`; return all tensors, whose indices are the result."""
    values, runs = interpreter(model.content, **options), []
    for batch in zip(*arrays, strict=True):
        runs.append(values.run(batch))
        job.advance(1)
    indices = [tensor.index for tensor in values.activations]
    return {"indices": indices}, [np.stack([run[index] for run in runs]) for index in indices]


_TASKS: dict[str, Callable] = {"run": _run, "time": _time, "try": _try, "tensors": _tensors}


def _resolve(runtime):
    module, name = runtime
    return getattr(importlib.import_module(module), name)


def _limit_memory(size):
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        size = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    if FORKS:
        # If the machine still runs out of memory, the kernel kills this process first.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")


def _fork(answers):
    """Run one job in a fork; report its exit code if it crashed."""
    mark = mmap.mmap(-1, 1)
    pid = os.fork()
    if not pid:
        # The fork must never return from here.
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _Job(answers, mark).run()
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    # Processes that the job has started end with it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    if code:
        send(answers, {"died": code})
    # A message that was not read completely leaves the stream unusable.
    return bool(mark[0])


def main():
    """Serve on the standard streams, where output that C++ prints cannot interfere."""
    answers = answer_stream()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.freeze()
    while os.read(0, 1):
        if not FORKS:
            _Job(answers, bytearray(1)).run()
            return
        if not _fork(answers):
            return


if __name__ == "__main__":
    main()
