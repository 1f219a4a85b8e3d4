"""The child process in which TFLite Micro runs one file, and may abort without harm.

It answers requests from standard input on standard output (`support/messages.py`). Standard error
is a file that both processes read, because TFLite Micro explains there why it refuses a file.
"""

import os
import signal
import sys
import time
from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from keras_compress.support.messages import answer_stream, receive, send

# The arena's size must be given in advance; no device that runs TFLite Micro has more than this.
_LARGEST_ARENA = 1 << 30
_TOO_SMALL = ("Failed to resize buffer", "Failed to allocate")


class Worker:
    """One file in TFLite Micro, driven by requests."""

    def __init__(self):
        self._interpreter: Any = None  # a TFLite Micro interpreter once a file is open
        self.seconds = 0.0

    def restart_timer(self):
        """Restart the limit on the time without progress.

        The signal has no handler, so that it ends the process, whatever C++ is doing.
        """
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def open(self, arrays, arena_bytes):
        """Open a file; double the arena until it is large enough."""
        content = arrays[0].tobytes()
        while True:
            start = _log_size()
            try:
                self._interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)
                return {}, []
            except RuntimeError:
                log = _log_since(start)
                arena_bytes *= 2
                if arena_bytes > _LARGEST_ARENA or not any(text in log for text in _TOO_SMALL):
                    raise

    def run(self, arrays, rows, outputs, stateful):
        """Run the invocations one by one; stack the results of each output."""
        results, seconds = [], []
        for start in range(0, len(arrays[0]), rows):
            self.restart_timer()
            if stateful:
                self._interpreter.reset()
            began = time.perf_counter()
            for position, array in enumerate(arrays):
                self._interpreter.set_input(array[start : start + rows], position)
            self._interpreter.invoke()
            results.append([self._interpreter.get_output(k).copy() for k in range(outputs)])
            seconds.append(time.perf_counter() - began)
        return {"seconds": seconds}, [np.stack(arrays) for arrays in zip(*results, strict=True)]

    def arena(self, arrays):
        """Return TFLite Micro's printed description of its arena."""
        start = _log_size()
        self._interpreter.print_allocations()
        return {"text": _log_since(start)}, []


def _log_size():
    return os.fstat(2).st_size


def _log_since(start):
    return os.pread(2, _log_size() - start, start).decode("utf-8", "replace").strip()


def serve(requests, answers):
    """Answer requests until the parent closes the stream."""
    worker = Worker()
    while True:
        try:
            message, arrays = receive(requests)
        except EOFError:
            return
        start = _log_size()
        worker.seconds = message.pop("seconds")
        worker.restart_timer()
        try:
            send(answers, *getattr(worker, message.pop("do"))(arrays, **message))
        except (RuntimeError, ValueError, IndexError) as error:
            send(answers, {"error": f"{error}. {_log_since(start)}"})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def main():
    """Serve on the standard streams, where output that C code prints cannot interfere."""
    serve(sys.stdin.buffer, answer_stream())


if __name__ == "__main__":
    main()
