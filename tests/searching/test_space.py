"""What a search may choose, and how zeros and widths are spread over layers."""

import dataclasses
import itertools
import json

import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.searching.objectives import Objectives
from keras_compress.searching.probes import LEVELS, Probes
from keras_compress.searching.removals import Removal
from keras_compress.searching.space import Space


def measured(flash, macs):
    return Objectives(
        accuracy=0.9,
        flash_bytes=flash,
        sram_bytes=1,
        latency_ms=None,
        macs=macs,
        verdict="runs",
    )


SIZES = {"a": 100, "b": 300, "c": 200}
MINDS = {"a": 1.0, "b": 0.01, "c": 0.3}
PROBES = Probes(
    sizes=SIZES,
    sparsity={n: {s: m * s * s for s in LEVELS} for n, m in MINDS.items()},
    bits={n: {8: 0.0, 4: m} for n, m in MINDS.items()},
    kernel_sizes=SIZES,
)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_zeros_are_spread_as_trying_all_would_spread_them(share):
    def error(levels):
        return sum(PROBES.sparsity[n][s] for n, s in zip(SIZES, levels, strict=True))

    enough = [
        levels
        for levels in itertools.product(LEVELS, repeat=3)
        if sum(n * s for n, s in zip(SIZES.values(), levels, strict=True)) >= share * 600 - 1
    ]
    found = PROBES.sparsities(share)
    assert error(found.values()) == pytest.approx(min(map(error, enough)))


def test_few_bits_go_to_the_layers_that_mind_least():
    assert PROBES.widths(0.5) == {"b": 4}
    assert PROBES.widths(1.0) == {"a": 4, "b": 4, "c": 4}
    assert PROBES.widths(0.0) == {}


def test_probes_survive_json():
    assert Probes.from_json(json.loads(json.dumps(PROBES.to_json()))) == PROBES


def test_a_choice_becomes_a_recipe():
    space = Space.of("cortex_m4", PROBES)
    recipe = space.recipe({"macs": 0.6000000000000001, "sparsity": 0.5, "narrow": 0.5})
    assert recipe.macs == 0.6 and recipe.weight_bits == {"b": 4}
    assert recipe.sparsity == {n: s for n, s in PROBES.sparsities(0.5).items() if s}
    even = space.recipe({"sparsity": 0.5, "narrow": 0.5, "allocation": "uniform"})
    assert even.sparsity == 0.5 and set(even.weight_bits) == set(SIZES)


def test_a_target_that_stores_no_zeros_is_offered_none():
    assert Space.of("generic_int8", PROBES).choices["sparsity"] == (0.0,)
    assert "sparsity" not in Space.of("generic_int8", PROBES).distributions()


def test_the_first_choices_keep_to_the_limits():
    space = Space.of("cortex_m4", PROBES)
    plain = measured(flash=1000, macs=100)
    limits = kc.Constraints(flash_bytes=700, macs=60)
    starts = space.starts(limits, plain, 4)
    assert 1 < len(starts) <= 4
    assert all(start["macs"] <= 0.6 for start in starts)
    assert all(set(start) == set(space.distributions()) for start in starts)


def removal(criterion, ranking, weights, macs=0.6):
    return Removal(criterion=criterion, ranking=ranking, macs=macs, accuracy=0.5, weights=weights)


def test_the_first_choices_remove_channels_in_the_two_best_ways():
    tried = (
        removal("taylor", "layer", 0.6),
        removal("l2_norm", "global", 0.9),
        removal("l2_norm", "per_cost", 0.9),
    )
    space = dataclasses.replace(Space.of("cortex_m4", PROBES), removals=tried)
    limits = kc.Constraints(flash_bytes=700, macs=60)
    starts = space.starts(limits, measured(flash=1000, macs=100), 6)
    ways = [(start["macs"], start["criterion"], start["ranking"]) for start in starts]
    assert ways == [
        (0.6, "taylor", "layer"),
        (0.6, "taylor", "layer"),
        (0.6, "l2_norm", "global"),
        (0.6, "l2_norm", "global"),
        (0.55, "taylor", "layer"),
        (0.55, "taylor", "layer"),
    ]
    zeros = [start["sparsity"] for start in starts]
    # 400 bytes are no weights: 300 may be, of 360 weights and of 540. A bitmap takes 1/8 each.
    assert zeros[:2] == [0.2, 0.3] and zeros[2:4] == [0.5, 0.6]


def test_recipes_that_remove_nothing_are_one():
    space = Space.of("cortex_m4", PROBES)
    kept = {space.recipe({"macs": 1.0, "criterion": c}) for c in ("l2_norm", "taylor")}
    fewer = {space.recipe({"macs": 0.5, "criterion": c}) for c in ("l2_norm", "taylor")}
    assert len(kept) == 1 and len(fewer) == 2


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"sparsty": [0.5]}, UnknownNameError, "Did you mean 'sparsity'"),
        ({"sparsity": 0.5}, InvalidArgumentError, "lists of values"),
        ({"sparsity": []}, InvalidArgumentError, "lists of values"),
    ],
)
def test_a_space_of_ones_own_is_checked(given, error, words):
    with pytest.raises(error, match=words):
        Space.of("cortex_m4", PROBES, given)
