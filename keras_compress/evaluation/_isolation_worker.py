"""The process behind `isolation`: it does each job in a fork of itself, which may die.

A byte on standard input announces a job, then comes its message (`support/messages.py`). Loading
the runtime is done once, and each job still begins in memory that no other file has touched.
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
    """One job: what came in, and what goes back."""

    def __init__(self, answers, mark):
        self._answers, self._mark = answers, mark
        self._lock = threading.Lock()

    def do(self):
        """Do the job; whatever goes wrong is an answer, too."""
        message, arrays = receive(os.fdopen(0, "rb", closefd=False))
        self._mark[0] = 1
        self._number, self._seconds = message["job"], message["seconds"]
        _limit_memory(message["memory_bytes"])
        self._wind()
        content, *arrays = arrays
        try:
            model, runtime = flatbuffer.read(content.tobytes()), _resolve(message["runtime"])
            result, found = _DO[message["do"]](model, arrays, runtime, self, **message["options"])
        except CompressionError as error:
            self.tell({"error": str(error), "kind": type(error).__name__})
        except MemoryError:
            self.tell({"error": None, "kind": "MemoryError"})
        else:
            self.tell({"result": result}, found)

    def advance(self, count):
        """Say that so many samples are done, and begin the time limit anew."""
        self._wind()
        self.tell({"advance": count})

    def tell(self, message, arrays=()):
        """Send one message."""
        with self._lock:
            send(self._answers, {"job": self._number, **message}, arrays)

    def _wind(self):
        # Nobody handles the signal, so that it ends the process, whatever C++ is doing.
        signal.setitimer(signal.ITIMER_REAL, self._seconds)


def _run(model, arrays, runtime, job, **options):
    answered = execution.run_file(model, arrays, runtime=runtime, progress=job.advance, **options)
    return {"rows": answered.rows, "threads": answered.threads}, answered.arrays


def _time(model, arrays, runtime, _, **options):
    return execution.time_file(model, arrays, runtime=runtime, **options).to_json(), ()


def _try(model, _, runtime, __):
    with runtime(model) as opened:
        opened.invoke([np.zeros(tensor.shape, tensor.dtype) for tensor in opened.inputs])
    return {}, ()


_DO: dict[str, Callable] = {"run": _run, "time": _time, "try": _try}


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
        # Where memory runs out all the same, this process goes first.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")


def _fork(answers):
    """Do one job in a fork; say how it died, if it did."""
    mark = mmap.mmap(-1, 1)
    pid = os.fork()
    if not pid:
        # No way leads out of here but this one.
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _Job(answers, mark).do()
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    # What the job has started ends with it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    if code:
        send(answers, {"died": code})
    # A job that was not read to its end leaves the stream in disorder.
    return bool(mark[0])


def main():
    """Serve on the standard streams, out of the reach of C++ that prints."""
    answers = answer_stream()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.freeze()
    while os.read(0, 1):
        if not FORKS:
            _Job(answers, bytearray(1)).do()
            return
        if not _fork(answers):
            return


if __name__ == "__main__":
    main()
