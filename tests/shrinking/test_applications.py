"""Small members of keras.applications lose half of their MACs; the docs list all."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.shrinking.channel_masks import ChannelMasks
from keras_compress.shrinking.dependency_graph import DependencyGraph

pytestmark = pytest.mark.verify("builds networks of keras.applications in full")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MobileNetV2", {"alpha": 0.35}),
        ("MobileNetV3Small", {"alpha": 0.75}),
        ("EfficientNetB0", {}),
    ],
)
def test_half_of_the_macs_go_and_zero_channels_leave_no_trace(name, options):
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(32, 32, 3), classes=4, **options)
    smaller, report = kc.shrink(model, macs=0.5, round_to=8, return_report=True)
    assert 0.45 < report.macs[1] / report.macs[0] <= 0.5
    assert smaller.output.shape == model.output.shape and not report.unknown
    graph = DependencyGraph(model)
    chosen = graph.prunable & (np.random.default_rng(0).random(graph.size) < 0.3)
    masks = ChannelMasks(graph)
    masks.set(chosen)
    masks.enforce()
    without, report = kc.remove_zeros(model, return_report=True)
    assert report.free_channels == chosen.sum()
    x = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3))
    np.testing.assert_allclose(without(x), model(x), rtol=1e-4, atol=1e-6)
