"""Latency of single invocations on this machine."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.support.types import Json

# Seconds after which timing a slow interpreter stops with the runs so far.
_LONGEST = 10.0
_RUNS_PER_CHECK = 10


@dataclasses.dataclass(frozen=True)
class Latency:
    """How long one invocation took on this machine, in milliseconds.

    Args:
        p50: Median.
        p95: 95th percentile.
        runs: Timed invocations.
        threads: Threads that an invocation might use.
    """

    p50: float
    p95: float
    runs: int
    threads: int

    def to_json(self) -> Json:
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)


def measure_latency(opened: Runtime, arrays: Sequence[np.ndarray], runs: int = 100) -> Latency:
    """Time invocations one after the other.

    A tenth as many invocations, and at least five, warm up first. Timing stops early after ten
    seconds.

    Args:
        opened: A `Runtime` with a file.
        arrays: One invocation's inputs, in the dtypes of the file.
        runs: Invocations to time, at least 1.

    Returns:
        A `Latency`: copying inputs in and outputs out is included.
    """
    opened.time_invocations(arrays, max(5, runs // 10))
    seconds: list[float] = []
    while len(seconds) < runs and sum(seconds) < _LONGEST:
        seconds += opened.time_invocations(arrays, min(_RUNS_PER_CHECK, runs - len(seconds)))
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return Latency(float(p50), float(p95), len(seconds), opened.threads)
