"""batch_norm_gamma.py: scales, averaged over tied channels."""

import keras
import numpy as np
from keras import layers

from keras_compress.shrinking.criteria.batch_norm_gamma import BatchNormGamma
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.group_statistics import GroupStatistics


def test_mean_of_the_scales_of_tied_channels_and_nothing_elsewhere():
    x = keras.Input((4,))
    norms = [layers.BatchNormalization() for _ in range(2)]
    parts = [norm(layers.Dense(3)(x)) for norm in norms]
    model = keras.Model(x, layers.Dense(2)(layers.Dense(5)(layers.Add()(parts))))
    norms[0].gamma.assign([1.0, -2.0, 3.0])
    norms[1].gamma.assign([3.0, 4.0, 0.0])
    scores = BatchNormGamma()(GroupStatistics(DependencyGraph(model)))
    np.testing.assert_allclose(scores[:3], [2.0, 3.0, 1.5])
    assert np.isnan(scores[3:]).all()
