"""noise_sensitivity.py against outputs under noise."""

import numpy as np
import pytest

from keras_compress.shrinking.criteria.noise_sensitivity import NoiseSensitivity


@pytest.mark.verify("draws noise 400 times for each unit")
def test_score_is_the_change_of_outputs_under_relative_noise(relu_case):
    case, rng, scale = relu_case, np.random.default_rng(0), 1e-3
    clean = case.outputs()
    expected = []
    for unit in range(5):
        changes = []
        for _ in range(400):
            arrays = case.arrays()
            for number, index in case.members(unit):
                arrays[number][index] *= 1 + scale * rng.normal()
            changes.append(np.square(case.outputs(arrays) - clean).sum() / len(case.x))
        expected.append(np.mean(changes) / scale**2)
    scores = case.groups_of(NoiseSensitivity(probes=400)(case.statistics()))
    np.testing.assert_allclose(scores, expected, rtol=0.2)
