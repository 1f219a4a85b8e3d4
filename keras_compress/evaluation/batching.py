"""Run a file on many samples: quantize inputs, use batches and all cores, dequantize outputs."""

import concurrent.futures
import contextlib
import dataclasses
import os
import queue
import threading

import numpy as np

from keras_compress.errors import EvaluationError, InvalidArgumentError
from keras_compress.evaluation.batch_plan import plan_batches
from keras_compress.evaluation.quantization import Quantizer, dequantize
from keras_compress.evaluation.runtimes.base import input_details, output_details
from keras_compress.support.progress import progress_bar

# The largest tensor of a batch should fit into a core's second-level cache, or nearly.
_LARGEST_BATCH = 64
_BATCH_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class BatchedOutputs:
    """The outputs of a file for all samples.

    Args:
        arrays: One array (samples, ...) per output in the file's order: float32, or of the
            output's own dtype if it is not quantized.
        rows: Samples per invocation.
        threads: Number of threads, each of which ran its own invocations.
    """

    arrays: list[np.ndarray]
    rows: int
    threads: int


def run_in_batches(model, arrays, *, runtime, threads=None, batch_size=None, progress=None):
    """Run a file on all samples.

    Each thread has its own interpreter and quantizes the samples that it runs, which keeps all
    cores busy even with files that take one sample at a time.

    Args:
        model: The file, a `flatbuffer.Model`.
        arrays: Real-valued inputs (samples, ...), one array per input in the file's order.
        runtime: Class of the runtime.
        threads: Cores to use; `None` for all that this process may use.
        batch_size: Samples per invocation if the file allows it; `None` for up to 64.
        progress: As for `progress_bar`.

    Returns:
        `BatchedOutputs`.

    Raises:
        EvaluationError: The runtime does not run the file.
        InvalidArgumentError: An input is not finite, or `threads` or `batch_size` is below 1.
    """
    samples = len(arrays[0])
    threads = _positive("threads", threads, usable_cores())
    size = _positive("batch_size", batch_size, _default_batch(model))
    size = min(size, -(-samples // threads))
    encode = Encoder(input_details(model), size)
    plan = plan_batches(model, runtime, encode([array[:size] for array in arrays]))
    size = -(-size // plan.rows) * plan.rows
    threads = min(threads, -(-samples // size))
    job = _Job(plan, runtime, arrays, size)
    with progress_bar(samples, progress) as advance:
        job.run(threads, advance)
    return BatchedOutputs(job.outputs, plan.rows, threads)


def usable_cores():
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Encoder:
    """Converts real values to the dtypes of a file's inputs, chunk by chunk.

    Args:
        inputs: The file's inputs, `TensorDetails`.
        size: Samples in the largest chunk.
    """

    def __init__(self, inputs, size):
        self._inputs = inputs
        self._size = size
        self._quantizers: dict[int, Quantizer] = {}

    def __call__(self, arrays, first=0):
        """Encode one chunk.

        Args:
            arrays: Real values (samples, ...), one array per input.
            first: Index of the chunk's first sample, for error messages.

        Returns:
            New arrays of the inputs' dtypes.

        Raises:
            InvalidArgumentError: A value is not finite.
        """
        return [self._encode(index, array, first) for index, array in enumerate(arrays)]

    def _encode(self, index, array, first):
        tensor = self._inputs[index]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidArgumentError(_not_finite(array, tensor, first))
        if not tensor.is_quantized:
            return np.ascontiguousarray(array, tensor.dtype)
        if index not in self._quantizers:
            shape = (self._size, *array.shape[1:])
            details = tensor.scale, tensor.zero_point, tensor.dtype
            self._quantizers[index] = Quantizer(shape, *details)
        return self._quantizers[index](array)


class _Job:
    """All samples, split into chunks that threads take from a queue."""

    def __init__(self, plan, runtime, arrays, size):
        self.outputs: list[np.ndarray] = []
        self._plan, self._runtime = plan, runtime
        self._arrays, self._size = arrays, size
        self._details = output_details(plan.model)
        self._samples = len(arrays[0])
        self._chunks = queue.SimpleQueue[int]()
        self._lock = threading.Lock()

    def run(self, threads, advance):
        for start in range(0, self._samples, self._size):
            self._chunks.put(start)
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            workers = [pool.submit(self._work, advance) for _ in range(threads)]
            try:
                for worker in concurrent.futures.as_completed(workers):
                    worker.result()
            except BaseException:
                # The other threads stop after their current chunk.
                self._chunks = queue.SimpleQueue[int]()
                raise

    def _work(self, advance):
        encode = Encoder(input_details(self._plan.model), self._size)
        with self._runtime(self._plan.model, shapes=self._plan.shapes) as opened:
            for start in self._take_chunks():
                chunk = [array[start : start + self._size] for array in self._arrays]
                results = opened.run([self._fill(array) for array in encode(chunk, start)])
                self._store(start, len(chunk[0]), results)
                advance(len(chunk[0]))

    def _take_chunks(self):
        """Yield chunks until none are left; other threads take from the same queue."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._chunks.get_nowait()

    def _fill(self, array):
        """Repeat the last sample until the last invocation is full."""
        missing = -len(array) % self._plan.rows
        return np.concatenate([array, array[-1:].repeat(missing, 0)]) if missing else array

    def _store(self, start, count, results):
        with self._lock:
            if not self.outputs:
                self.outputs = [
                    self._empty(*pair) for pair in zip(results, self._details, strict=True)
                ]
        for output, result, tensor in zip(self.outputs, results, self._details, strict=True):
            part = result[:count]
            if tensor.is_quantized:
                part = dequantize(part, tensor.scale, tensor.zero_point)
            output[start : start + count] = part

    def _empty(self, result, tensor):
        if len(result) % self._plan.rows:
            raise EvaluationError(
                f"The output {tensor} does not have a row for each of the {self._plan.rows} "
                "samples that the file takes at once. Convert it for batch 1."
            )
        dtype = np.float32 if tensor.is_quantized else result.dtype
        return np.empty((self._samples, *result.shape[1:]), dtype)


def _default_batch(model):
    largest = max(
        (t.size * t.dtype.bits // 8 for t in model.tensors if not t.is_constant), default=1
    )
    return min(_LARGEST_BATCH, max(1, _BATCH_BYTES // max(1, largest)))


def _positive(name, value, default):
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidArgumentError(
            f"{name} must be a whole number of at least 1. Received: {name}={value!r}"
        )
    return int(value)


def _not_finite(array, tensor, first):
    index = np.argwhere(~np.isfinite(array))[0]
    value = array[tuple(index)]
    index[0] += first
    return (
        f"Inputs must be finite numbers. Received: {value} in sample {index[0]:,} of input "
        f"{tensor.name!r}, at index {index.tolist()}."
    )
