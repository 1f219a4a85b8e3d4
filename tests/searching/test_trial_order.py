"""The order of trials: fronts first, limits before size, the nearest where nothing fits."""

import itertools

import numpy as np

import keras_compress as kc
from keras_compress.searching.objectives import Objectives
from keras_compress.searching.trial import Trial
from keras_compress.searching.trial_order import best_of, dominates, promote


def figures(accuracy=0.9, flash=1000, macs=100, latency=None):
    return Objectives(
        accuracy=accuracy,
        flash_bytes=flash,
        sram_bytes=1,
        latency_ms=latency,
        macs=macs,
        verdict="runs",
    )


def trial(number, objectives, state="complete", accuracy=None):
    return Trial(
        number=number,
        recipe=kc.Recipe(),
        state=state,
        accuracy=objectives.accuracy if accuracy is None else accuracy,
        objectives=objectives,
    )


def test_one_dominates_another_that_is_nowhere_better_and_somewhere_worse():
    assert dominates(figures(), figures(flash=1001))
    assert not dominates(figures(), figures())
    assert not dominates(figures(accuracy=0.8, flash=500), figures())
    assert dominates(figures(macs=200, latency=1.0), figures(macs=100, latency=2.0))


def test_fronts_are_promoted_first_and_accuracies_of_now_decide():
    rng = np.random.default_rng(0)
    tried = [
        trial(k, figures(flash=int(f), macs=int(m)), accuracy=a)
        for k, (a, f, m) in enumerate(rng.integers(1, 9, size=(12, 3)).tolist())
    ]
    chosen = promote(tried, 4)
    now = {t.number: t.latest_objectives for t in tried}

    def better(t):
        return sum(dominates(other, now[t.number]) for other in now.values())

    assert len(chosen) == 4
    rest = [t for t in tried if t not in chosen]
    for one, other in itertools.product(chosen, rest):
        assert (better(one), -one.accuracy) <= (better(other), -other.accuracy)


def test_the_winner_keeps_the_limits_or_is_the_nearest():
    limits = kc.Constraints(max_accuracy_drop=0.05, flash_bytes=1000)
    plain = figures(flash=2000)
    small, smaller = trial(0, figures(flash=900)), trial(1, figures(flash=800))
    stopped = trial(2, figures(flash=10), state="stopped")
    inaccurate = trial(3, figures(accuracy=0.5, flash=10))
    assert best_of([small, smaller, stopped, inaccurate], limits, 0.9, plain) is smaller
    large = trial(4, figures(flash=1100))
    assert best_of([large, stopped, inaccurate], limits, 0.9, plain) is large
