"""What holds for every metric, whoever adds it."""

import json

import numpy as np
import pytest

from keras_compress.evaluation.metrics.base import Metric
from keras_compress.support import plugins

PACKAGE = "keras_compress.evaluation.metrics"


@pytest.fixture(params=plugins.names(PACKAGE))
def metric(request):
    return plugins.get(PACKAGE, request.param)()


def test_config_goes_through_json(metric):
    assert isinstance(metric, Metric)
    config = json.loads(json.dumps(metric.get_config()))
    assert type(metric).from_config(config) == metric


def test_name_leads_back_to_the_metric(metric):
    assert plugins.resolve(PACKAGE, metric.name, Metric) == metric


def test_gives_a_float_and_changes_nothing(metric):
    y_true = np.eye(8)[[1, 2, 3]]
    y_pred = np.random.default_rng(0).random((3, 8)).astype(np.float32)
    before = y_true.copy(), y_pred.copy()
    assert type(metric(y_true, y_pred)) is float
    np.testing.assert_array_equal(y_true, before[0])
    np.testing.assert_array_equal(y_pred, before[1])
