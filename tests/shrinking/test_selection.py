"""selection.py: which groups stay."""

import numpy as np
import pytest

from keras_compress.shrinking.selection import SelectionOptions, allowed, select


@pytest.fixture
def scores():
    return np.array([1.0, 2.0, 3.0, 4.0, 0.1, 0.2, 0.3, 0.4])


COUPLED = [np.arange(4), np.arange(4, 8)]
ALL = np.ones(8, bool)


def chosen(scores, target, prunable=ALL, **rules):
    mask = select(scores, COUPLED, prunable, np.count_nonzero, target, SelectionOptions(**rules))
    return np.flatnonzero(mask).tolist()


def test_global_ranking_takes_the_lowest_of_all_and_leaves_each_set_one(scores):
    assert chosen(scores, 5) == [0, 1, 2, 3, 7]
    assert chosen(scores, 4) == [1, 2, 3, 7]


def test_layer_ranking_takes_the_same_share_of_each(scores):
    assert chosen(scores, 4, ranking="layer") == [2, 3, 6, 7]


def test_protected_groups_stay_and_count_for_the_minimum(scores):
    prunable = np.array([False, *ALL[1:]])
    assert chosen(scores, 2, prunable) == [0, 7]


def test_minimum_as_number_and_as_fraction(scores):
    assert chosen(scores, 1, minimum=2) == [2, 3, 6, 7]
    assert chosen(scores, 1, minimum=0.7) == [1, 2, 3, 5, 6, 7]


def test_kept_numbers_are_multiples(scores):
    assert chosen(scores, 5, round_to=2) == [2, 3, 6, 7]
    assert chosen(scores, 6, round_to=2) == [0, 1, 2, 3, 6, 7]


def test_what_rounding_took_too_much_comes_back():
    scores = np.array([1.0, 1.1, 1.2, 1.3, 0.9, 1.05, 1.15, 1.25])
    costs = np.array([3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    mask = select(
        scores, COUPLED, ALL, lambda k: costs[k].sum(), 11.0, SelectionOptions(round_to=2)
    )
    assert np.flatnonzero(mask).tolist() == [2, 3, 4, 5, 6, 7]


def test_most_groups_within_the_target_stay():
    rng = np.random.default_rng(0)
    scores, costs = rng.random(8), rng.random(8)
    mask = select(scores, COUPLED, ALL, lambda keep: costs[keep].sum(), 2.0, SelectionOptions())
    assert costs[mask].sum() <= 2.0
    order = np.argsort(scores)
    next_best = [g for g in order if not mask[g]][-1]
    assert costs[mask].sum() + costs[next_best] > 2.0


def test_free_groups_go_even_within_the_target(scores):
    mask = select(scores, COUPLED, ALL, np.count_nonzero, 8, SelectionOptions(), at_least=2)
    assert np.flatnonzero(~mask).tolist() == [4, 5]


@pytest.mark.parametrize(
    ("remaining", "width", "round_to", "expected"),
    [(3, 1, 8, 8), (9, 1, 8, 16), (3, 4, 8, 4), (3, 8, 8, 3), (3, 3, 8, 8), (20, 1, 16, 20)],
)
def test_multiples_count_channels_not_groups(remaining, width, round_to, expected):
    assert allowed(remaining, 20, width, SelectionOptions(round_to=round_to)) == expected
