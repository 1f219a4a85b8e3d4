"""activation_zeros.py against a count of the zeros."""

import keras
import numpy as np
from keras import layers

from keras_compress.shrinking.criteria.activation_zeros import ActivationZeros
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.group_statistics import GroupStatistics


def test_score_is_the_share_that_is_not_zero(relu_case):
    case = relu_case
    kernel, bias = case.arrays()[:2]
    expected = np.mean(case.x @ kernel + bias > 0, axis=0)
    scores = ActivationZeros()(case.statistics(batch_size=7))
    np.testing.assert_allclose(case.groups_of(scores), expected)
    assert np.isnan(scores[5:]).all()


def test_a_relu_layer_counts_as_well_and_the_model_keeps_single_outputs():
    inputs = keras.Input((6, 6, 2))
    y = layers.ReLU()(layers.Conv2D(4, 3, name="conv")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(y)))
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 2)).astype("float32")
    conv = model.get_layer("conv")
    expected = np.mean(np.asarray(conv(x)) > 0, axis=(0, 1, 2))
    scores = ActivationZeros()(GroupStatistics(DependencyGraph(model), x))
    np.testing.assert_allclose(scores[:4], expected, rtol=1e-6)
    assert conv.output.shape == (None, 4, 4, 4)
