"""Run a TFLite file in this process, or in a separate process that may crash."""

import dataclasses

from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation.batching import BatchedOutputs, Encoder, run_in_batches
from keras_compress.evaluation.latency import Latency, measure_latency
from keras_compress.evaluation.runtimes.base import input_details


@dataclasses.dataclass(frozen=True)
class RunFigures:
    """The latency and memory of single invocations on this machine.

    Args:
        latency: A `Latency`, or `None` if it was not measured.
        arena: Bytes of the runtime's arena by part, or `None` if it has none.
    """

    latency: Latency | None
    arena: dict[str, int] | None

    def to_json(self):
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields):
        """Return the object that `to_json` described."""
        latency = fields["latency"] and Latency(**fields["latency"])
        return cls(latency, fields["arena"])


def run_file(model, arrays, *, runtime, isolation=None, progress=None, **options):
    """Run a file on all samples.

    Args:
        model: The file, a `flatbuffer.Model`.
        arrays: Real-valued inputs (samples, ...), one array per input in the file's order.
        runtime: Class of the runtime.
        isolation: `Isolation` to run it in a separate process; `None` for this process.
        progress: As for `progress_bar`.
        **options: `threads` and `batch_size`, as `run_in_batches` takes them.

    Returns:
        `BatchedOutputs`.

    Raises:
        EvaluationError: The runtime does not run the file, or the file exceeded a limit.
        InvalidArgumentError: An input is not finite, or an option is out of its range.
    """
    if isolation is None:
        return run_in_batches(model, arrays, runtime=runtime, progress=progress, **options)
    result, outputs = isolation.call(
        "run", model, arrays, runtime=runtime, progress=progress, samples=len(arrays[0]), **options
    )
    return BatchedOutputs(outputs, **result)


def time_file(model, arrays, *, runtime, isolation=None, threads=None, latency_runs=100):
    """Time single invocations and measure the arena.

    Args:
        model: The file, a `flatbuffer.Model`.
        arrays: As for `run_file`; only the first sample is used.
        runtime: Class of the runtime.
        isolation: As for `run_file`.
        threads: Threads of one invocation; `None` for one.
        latency_runs: Invocations to time, 0 for none.

    Returns:
        `RunFigures`.

    Raises:
        EvaluationError: The runtime does not run the file, or the file exceeded a limit.
        InvalidArgumentError: `latency_runs` is not a whole number of at least 0.
    """
    if isinstance(latency_runs, bool) or not isinstance(latency_runs, int) or latency_runs < 0:
        raise InvalidArgumentError(
            "latency_runs must be a whole number of at least 0. "
            f"Received: latency_runs={latency_runs!r}"
        )
    options = {"threads": threads, "latency_runs": latency_runs}
    first = [array[:1] for array in arrays]
    if isolation is None:
        return _time(model, first, runtime, **options)
    result, _ = isolation.call("time", model, first, runtime=runtime, **options)
    return RunFigures.from_json(result)


def _time(model, arrays, runtime, threads, latency_runs):
    inputs = input_details(model)
    rows = inputs[0].shape[0]
    shapes = [t.shape[:1] + array.shape[1:] for t, array in zip(inputs, arrays, strict=True)]
    sample = Encoder(inputs, rows)([array[:1].repeat(rows, 0) for array in arrays])
    with runtime(model, threads=threads or 1, shapes=shapes) as opened:
        opened.invoke(sample)
        latency = measure_latency(opened, sample, latency_runs) if latency_runs else None
        return RunFigures(latency, opened.arena())
