"""TFLite Micro: the interpreter that a microcontroller runs, in a child process."""

import re
import signal
from collections.abc import Sequence

import numpy as np

from keras_compress.evaluation.runtimes import base
from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.support import processes
from keras_compress.tflite.model import Model

_WORKER = "keras_compress.evaluation.runtimes._tflite_micro_worker"
_ARENA_LINE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
# The wheel's own initial guess; the worker doubles it until the file fits.
_ARENA_PER_FILE_BYTE = 10
_LAST_CHARACTERS = 500


class TFLiteMicro(Runtime):
    """The `tflite-micro` wheel's interpreter, with the reference kernels.

    It can abort its process on a file that it does not support, so it runs in a child process,
    where an abort becomes an `EvaluationError`, and so does an invocation that takes longer than
    `base.SECONDS_WITHOUT_PROGRESS`. One invocation uses one thread; an evaluation uses more cores
    by opening the file several times.
    """

    priority = 3
    module = "tflite_micro"
    package = "tflite-micro"
    install = 'pip install "keras-compress[micro]"'
    resizable = False
    decodes = True

    def __init__(
        self, model: Model, *, threads: int = 1, shapes: Sequence[Sequence[int]] | None = None
    ):
        super().__init__(model, threads=1)
        if shapes is not None and any(
            tensor.shape != tuple(shape) for tensor, shape in zip(self.inputs, shapes, strict=True)
        ):
            raise self._refuse(f"TFLite Micro cannot change shapes. Received: shapes={shapes}.")
        self._child = self._resources.enter_context(processes.Child(_WORKER))
        self._request(
            "open",
            [np.frombuffer(model.content, np.uint8)],
            arena_bytes=_ARENA_PER_FILE_BYTE * len(model.content),
        )

    def invoke(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run once; the state of recurrent tensors is reset first."""
        return self.run(arrays)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run on any multiple of `rows` samples with one request to the child."""
        _, results = self._run(arrays)
        return [self.join(stacked) for stacked in results]

    def time_invocations(self, arrays: Sequence[np.ndarray], runs: int) -> list[float]:
        """Measure single invocations in the child, without communication."""
        return [self._run(arrays)[0]["seconds"][0] for _ in range(runs)]

    def arena(self) -> dict[str, int]:
        """Return the arena's bytes as TFLite Micro counts them on this host."""
        answer, _ = self._request("arena")
        return {f"{part}_bytes": int(size) for part, size in _ARENA_LINE.findall(answer["text"])}

    def _run(self, arrays):
        return self._request(
            "run", arrays, rows=self.rows, outputs=len(self.outputs), stateful=self.stateful
        )

    def _request(self, what, arrays=(), **fields):
        try:
            limit = {"seconds": base.SECONDS_WITHOUT_PROGRESS}
            self._child.send({"do": what, **limit, **fields}, arrays)
            answer, results = self._child.receive()
        except (OSError, EOFError):
            reason = self._end_reason()
            self.close()
            raise self._refuse(reason) from None
        if "error" in answer:
            if what == "open":
                self.close()
            raise self._refuse(answer["error"])
        return answer, results

    def _end_reason(self):
        """Return how the child ended, and the last output of TFLite Micro."""
        code = self._child.kill()
        if code == -signal.SIGALRM:
            return f"it made no progress within {base.SECONDS_WITHOUT_PROGRESS:g} seconds"
        reason = processes.exit_reason(code)
        return f"it ended its process ({reason}). {self._child.output()[-_LAST_CHARACTERS:]}"
