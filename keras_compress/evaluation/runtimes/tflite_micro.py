"""TFLite Micro: the interpreter that a microcontroller runs, in a child process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np

from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.support.messages import receive, send

_WORKER = "keras_compress.evaluation.runtimes._tflite_micro_worker"
_ARENA_LINE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
# The wheel's own first guess; the worker doubles it until the file fits.
_ARENA_PER_FILE_BYTE = 10


class TFLiteMicro(Runtime):
    """The `tflite-micro` wheel's interpreter, with the reference kernels.

    It can abort the process on a file that it does not like, so it lives in a child process,
    where an abort becomes an `EvaluationError`. One invocation uses one thread; an evaluation
    uses more cores by opening the file several times.
    """

    priority = 3
    module = "tflite_micro"
    package = "tflite-micro"
    install = 'pip install "keras-compress[micro]"'
    resizable = False
    decodes = True

    def __init__(self, model, *, threads=1, shapes=None):
        super().__init__(model, threads=1)
        if shapes is not None and any(
            tensor.shape != tuple(shape) for tensor, shape in zip(self.inputs, shapes, strict=True)
        ):
            raise self._refuse(f"TFLite Micro takes no other shapes. Received: shapes={shapes}.")
        # Closed from the last to the first: the child ends when its input does.
        self._said = self._resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = self._resources.enter_context(_start_worker(self._said))
        self._resources.callback(self._end_input)
        self._ask(
            "open",
            [np.frombuffer(model.content, np.uint8)],
            arena_bytes=_ARENA_PER_FILE_BYTE * len(model.content),
        )

    def invoke(self, arrays):
        """Run once; the state of recurrent tensors begins anew."""
        return self.run(arrays)

    def run(self, arrays):
        """Run on any multiple of `rows` samples in one exchange with the child."""
        _, results = self._run(arrays)
        return [self.join(stacked) for stacked in results]

    def time_invocations(self, arrays, runs):
        """Measure single invocations in the child, without the exchange."""
        return [self._run(arrays)[0]["seconds"][0] for _ in range(runs)]

    def arena(self):
        """Return the arena's bytes as TFLite Micro counts them on this host."""
        answer, _ = self._ask("arena")
        return {f"{part}_bytes": int(size) for part, size in _ARENA_LINE.findall(answer["text"])}

    def _run(self, arrays):
        return self._ask(
            "run", arrays, rows=self.rows, outputs=len(self.outputs), stateful=self.stateful
        )

    def _ask(self, what, arrays=(), **fields):
        try:
            send(self._process.stdin, {"do": what, **fields}, arrays)
            answer, results = receive(self._process.stdout)
        except (OSError, EOFError):
            reason = self._death()
            self.close()
            raise self._refuse(reason) from None
        if "error" in answer:
            if what == "open":
                self.close()
            raise self._refuse(answer["error"])
        return answer, results

    def _end_input(self):
        # A dead child leaves bytes that can no longer be written.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _death(self):
        """Say how the child ended, with what TFLite Micro printed last."""
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 500))
        return f"it ended its process ({how}). {self._said.read().decode('utf-8', 'replace')}"


def _start_worker(said):
    """Start the child with this process's import path and none of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        env=environment,
    )
