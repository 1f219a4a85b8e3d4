"""What holds for every criterion, whoever adds it."""

import json

import keras
import numpy as np
import pytest

from keras_compress.pruning.criteria.base import Criterion
from keras_compress.support import plugins

PACKAGE = "keras_compress.pruning.criteria"
every_criterion = pytest.mark.parametrize("name", plugins.names(PACKAGE))


@pytest.fixture
def criterion(name):
    return plugins.get(PACKAGE, name)()


def score(criterion, groups):
    rng = np.random.default_rng(5)
    return criterion(
        groups,
        gradients=statistics(groups, 6) if criterion.needs_gradients else None,
        activations=np.abs(statistics(groups, 7)) if criterion.needs_activations else None,
        rng=rng,
    )


def statistics(groups, seed):
    """Draw an array like groups, masked where they are."""
    elements = groups.shape[1] - np.ma.getmaskarray(groups)[0].sum()
    values = np.random.default_rng(seed).normal(size=(len(groups), elements))
    if not np.ma.isMaskedArray(groups):
        return values
    padded = np.pad(values, ((0, 0), (0, groups.shape[1] - elements)))
    return np.ma.masked_array(padded, groups.mask)


@pytest.fixture
def groups(elements):
    return np.random.default_rng(3).normal(size=(12, elements)).astype(np.float32)


@every_criterion
def test_config_goes_through_json(criterion):
    assert isinstance(criterion, Criterion)
    config = json.loads(json.dumps(criterion.get_config()))
    assert type(criterion).from_config(config) == criterion
    assert hash(criterion) == hash(type(criterion).from_config(config))


@every_criterion
@pytest.mark.parametrize("elements", [1, 6])
def test_one_finite_score_for_each_group(criterion, groups):
    scores = score(criterion, groups)
    assert type(scores) is np.ndarray
    assert scores.shape == (12,)
    assert np.all(np.isfinite(scores))


@every_criterion
@pytest.mark.parametrize("elements", [1, 6])
def test_same_weights_give_same_scores_and_stay_as_they_are(criterion, groups):
    before = groups.copy()
    np.testing.assert_array_equal(score(criterion, groups), score(criterion, groups))
    np.testing.assert_array_equal(groups, before)


@every_criterion
@pytest.mark.parametrize("elements", [6])
def test_masked_entries_do_not_count(criterion, groups):
    padding = np.zeros((12, 2), np.float32)
    masked = np.concatenate([np.zeros_like(groups, bool), padding == 0], axis=1)
    padded = np.ma.masked_array(np.concatenate([groups, padding], axis=1), masked)
    scores = score(criterion, padded)
    assert type(scores) is np.ndarray
    np.testing.assert_allclose(scores, score(criterion, groups), rtol=1e-6)


@every_criterion
def test_what_is_summed_is_the_same_of_arrays_and_tensors(criterion):
    rng = np.random.default_rng(4)
    weights, gradients = rng.normal(size=(2, 3, 4)).astype(np.float32)
    tensors = map(keras.ops.convert_to_tensor, (weights, gradients))
    np.testing.assert_allclose(
        criterion.gradient_statistic(*tensors),
        criterion.gradient_statistic(weights, gradients),
        rtol=1e-6,
    )
