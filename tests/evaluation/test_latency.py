import numpy as np
import pytest

from keras_compress.evaluation.latency import measure_latency


class Clocked:
    """A runtime whose invocations take 1, 2, 3 … milliseconds after the warm-up."""

    threads = 2

    def __init__(self, warm_up):
        self.warm_up, self.count = warm_up, 0

    def time_invocations(self, arrays, runs):
        if self.warm_up:
            assert runs == self.warm_up
            self.warm_up = 0
            return [100.0] * runs
        seconds = [(self.count + k + 1) / 1000 for k in range(runs)]
        self.count += runs
        return seconds


def test_percentiles_without_the_warm_up():
    latency = measure_latency(Clocked(10), [], 100)
    assert latency.p50 == pytest.approx(50.5)
    assert latency.p95 == pytest.approx(np.percentile(np.arange(1, 101), 95))
    assert (latency.runs, latency.threads) == (100, 2)


def test_few_runs_warm_up_five_times():
    assert measure_latency(Clocked(5), [], 3).runs == 3


def test_slow_files_end_early(monkeypatch):
    monkeypatch.setattr("keras_compress.evaluation.latency._LONGEST", 0.05)
    assert measure_latency(Clocked(100), [], 1000).runs == 10
