import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.pruning.criteria.base import Criterion
from keras_compress.pruning.masks import PrunableWeights, compute_masks
from keras_compress.spec import Pruning


def item(shape, scale=1.0, axis=0, name="kernel", **spec):
    weights = scale * np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
    return PrunableWeights(weights, axis, Pruning(**spec), name)


def pruned(mask):
    return np.count_nonzero(~mask)


def test_layers_are_ranked_by_themselves():
    masks = compute_masks([item((10, 20)), item((4, 3, 3, 5), scale=100.0)], 0.75)
    assert [pruned(mask) for mask in masks] == [150, 135]


def test_global_scope_ranks_layers_together_and_leaves_the_others_alone():
    spec = {"scope": "global", "floor": 0}
    weak, strong = item((10, 20), **spec), item((10, 30), 100.0, **spec)
    alone = item((10, 10), scale=1e-6)
    first, middle, last = compute_masks([weak, alone, strong], 0.3)
    assert pruned(first) + pruned(last) == 150
    assert pruned(first) > 140
    assert pruned(middle) == 30


@pytest.mark.parametrize(("floor", "least"), [(0, 1), (0.25, 12), (0.5, 25), (1, 50)])
def test_global_scope_leaves_each_layer_its_floor(floor, least):
    spec = {"scope": "global", "floor": floor}
    masks = compute_masks([item((10, 20), 1e-6, **spec), item((10, 60), **spec)], 0.75)
    assert sum(map(pruned, masks)) == 600
    assert masks[0].size - pruned(masks[0]) == least


def test_patterns_and_criteria_are_found_by_name():
    masks = compute_masks(
        [
            item((8, 16), pattern="2:4"),
            item((8, 16), pattern="4x4", criterion="l2_norm"),
            item((1, 3, 3, 8), axis=3, pattern="channel", criterion="l1_norm"),
        ],
        0.5,
    )
    assert [pruned(mask) for mask in masks] == [64, 64, 36]


def test_random_masks_are_repeatable_nested_and_differ_between_layers():
    items = [item((20, 20), criterion="random"), item((20, 20), criterion="random")]
    first, second = compute_masks(items, 0.5)
    np.testing.assert_array_equal(first, compute_masks(items, 0.5)[0])
    assert not np.any(compute_masks(items, 0.8)[0] & ~first)
    assert np.any(first != second)


def test_zero_sparsity_keeps_all():
    assert all(mask.all() for mask in compute_masks([item((3, 4)), item((2, 2))], 0.0))


def test_no_layers_no_masks():
    assert compute_masks([], 0.5) == []


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_refuses_global_scope_for_a_local_pattern(sparsity):
    with pytest.raises(InvalidArgumentError, match="scope='layer'.*Received: .* for 'conv/kernel'"):
        compute_masks([item((8, 8), name="conv/kernel", pattern="2:4", scope="global")], sparsity)


def test_refuses_two_criteria_in_one_ranking():
    items = [item((8, 8), scope="global"), item((8, 8), scope="global", criterion="l1_norm")]
    with pytest.raises(InvalidArgumentError, match=r"Received: L1Norm\(\), Magnitude\(\)"):
        compute_masks(items, 0.5)


def test_refuses_a_criterion_without_its_gradients():
    @dataclasses.dataclass(frozen=True)
    class Saliency(Criterion):
        needs_gradients: ClassVar[bool] = True

        def __call__(self, groups, *, gradients=None, activations=None, rng=None):
            return np.abs(groups * gradients).sum(axis=1)

    entry = item((2, 2), criterion=Saliency(), pattern="channel")
    with pytest.raises(InvalidArgumentError, match="needs the gradients"):
        compute_masks([entry], 0.5)
    gradients = np.array([[0.0, 0.0], [1.0, 1.0]])
    (mask,) = compute_masks([dataclasses.replace(entry, gradients=gradients)], 0.5)
    np.testing.assert_array_equal(mask, [[False, False], [True, True]])


@pytest.mark.parametrize("sparsity", [1.0, -0.1, float("nan")])
def test_refuses_what_is_no_sparsity(sparsity):
    with pytest.raises(InvalidArgumentError, match="Received: sparsity="):
        compute_masks([item((2, 2))], sparsity)


def test_offers_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'magnitude'"):
        compute_masks([item((2, 2), criterion="magnitud")], 0.5)
