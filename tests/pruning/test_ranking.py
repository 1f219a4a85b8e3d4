import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.ranking import global_masks, keep_largest, layer_mask

SCORES = hnp.arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0, 1, 2, 3, 7]))


@given(SCORES, st.data())
def test_keeps_the_largest_and_of_equals_the_last(scores, data):
    n_pruned = data.draw(st.integers(0, len(scores)))
    expected = np.ones(len(scores), bool)
    expected[np.argsort(scores, kind="stable")[:n_pruned]] = False
    np.testing.assert_array_equal(keep_largest(scores, n_pruned), expected)


def test_refuses_scores_that_are_no_numbers():
    with pytest.raises(InvalidArgumentError, match="diverged.*Received: 2 NaN in 3 scores"):
        keep_largest(np.array([np.nan, 1.0, np.nan]), 1)


def test_infinite_scores_have_an_order():
    kept = keep_largest(np.array([np.inf, -np.inf, 0.0]), 2)
    np.testing.assert_array_equal(kept, [True, False, False])


@given(SCORES, st.floats(0, 0.999))
def test_a_layer_keeps_at_least_one_group(scores, sparsity):
    pruned = np.count_nonzero(~layer_mask(scores, sparsity))
    assert pruned == min(round(sparsity * len(scores)), len(scores) - 1)


def test_global_ranking_takes_from_the_weak_layer():
    strong, weak = np.full(100, 5.0), np.linspace(0, 1, 100)
    masks = global_masks([strong, weak], [np.ones(100, int)] * 2, 0.4)
    assert masks[0].all()
    assert np.count_nonzero(~masks[1]) == 80


@given(st.lists(SCORES, min_size=1, max_size=4), st.floats(0, 0.999))
def test_global_ranking_is_exact_and_leaves_no_layer_empty(layers, sparsity):
    masks = global_masks(layers, [np.ones(len(layer), int) for layer in layers], sparsity)
    total = sum(map(len, layers))
    pruned = sum(np.count_nonzero(~mask) for mask in masks)
    assert pruned == min(round(sparsity * total), total - len(layers))
    for layer, mask in zip(layers, masks, strict=True):
        assert layer[mask].max() == layer.max()


def test_global_ranking_counts_weights_where_groups_differ_in_size():
    scores = [np.array([1.0, 4.0]), np.array([2.0, 3.0, 9.0])]
    sizes = [np.array([100, 100]), np.array([10, 10, 10])]
    first, second = global_masks(scores, sizes, 0.5)
    np.testing.assert_array_equal(first, [False, True])
    np.testing.assert_array_equal(second, [False, True, True])


def test_nothing_to_rank():
    assert global_masks([], [], 0.5) == []
