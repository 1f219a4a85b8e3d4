"""latency_costs.py and budget.py: a budget of time, and scores per cost."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.shrinking.budget import KINDS, Costs
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.latency_costs import OUTPUT_COST, LatencyCosts

LATENCIES = {"slow": 3.0, "quick": 1.0, "logits": 0.5}


@pytest.fixture(scope="module")
def graph():
    keras.utils.set_random_seed(0)
    slow, quick = layers.Dense(32, name="slow"), layers.Dense(32, name="quick")
    parts = [keras.Input((16,)), slow, layers.ReLU(name="relu"), quick]
    return DependencyGraph(keras.Sequential([*parts, layers.Dense(4, name="logits")]))


def keep(graph, **kept):
    mask = np.ones(graph.size, bool)
    for name, groups in graph.makers:
        mask[groups[kept.get(name, len(groups)) :]] = False
    return mask


def test_time_follows_outputs_and_products(graph):
    times = LatencyCosts(graph, LATENCIES)
    assert times(keep(graph)) == pytest.approx(4.5)
    c = OUTPUT_COST
    expected = 3.0 * 0.5 + 1.0 * (16 + c) / (32 + c) + 0.5
    assert times(keep(graph, slow=16)) == pytest.approx(expected)


def test_layers_without_products_keep_their_time(graph):
    times = LatencyCosts(graph, {**LATENCIES, "relu": 2.0})
    assert times(keep(graph, slow=1, quick=1)) > 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_savings_are_what_goes_with_one_group(graph, kind):
    costs, whole = Costs(graph, LATENCIES), keep(graph)
    savings = costs.savings(kind)
    for group in (0, 40):
        less = whole.copy()
        less[group] = False
        difference = costs.of(kind, whole) - costs.of(kind, less)
        assert savings[group] == pytest.approx(difference, rel=1e-6)


def test_time_stays_within_the_budget_and_the_slow_layer_pays(graph):
    smaller = kc.shrink(
        graph.model, latency=0.6, latencies=LATENCIES, ranking="per_cost", minimum=0.25
    )
    slow, quick = (smaller.get_layer(name).units for name in ("slow", "quick"))
    assert slow <= 16 and slow < quick
    actual = LatencyCosts(graph, LATENCIES)(keep(graph, slow=slow, quick=quick))
    assert 0.55 * 4.5 < actual <= 0.6 * 4.5


def test_errors_tell_what_is_missing(graph):
    with pytest.raises(InvalidArgumentError, match="needs the measured time of each layer"):
        kc.shrink(graph.model, latency=0.5)
    with pytest.raises(UnknownNameError, match="Did you mean 'quick'"):
        kc.shrink(graph.model, latency=0.5, latencies={"quik": 1.0})
