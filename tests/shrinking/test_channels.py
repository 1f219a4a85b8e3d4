"""channels.py: tied ids form one group."""

import keras
import numpy as np

from keras_compress.shrinking.channels import Channels


def test_chains_of_ties_make_one_group_each():
    channels = Channels()
    parts = [channels.new(3, f"layer{i}") for i in range(50)]
    for first, second in zip(parts, parts[1:], strict=False):
        channels.tie(second, first)
    assert np.array_equal(channels.groups(), np.tile([0, 1, 2], 50))


def test_rows_are_tied_and_others_stay_apart():
    channels = Channels()
    ids = channels.new(6, "conv")
    channels.tie_rows(ids.reshape(3, 2))
    assert channels.groups().tolist() == [0, 0, 1, 1, 2, 2]


def test_a_tie_to_a_fixed_size_protects():
    channels = Channels()
    ids = channels.new(2, "conv")
    channels.tie(ids, None, "an image comes in")
    ((protected, reason),) = channels.protections
    assert protected.tolist() == [0, 1] and reason == "an image comes in"


def test_second_binding_of_a_shared_weight_ties():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    channels = Channels()
    channels.bind(layer, layer.kernel, -1, channels.new(2, "first"))
    channels.bind(layer, layer.kernel, 1, channels.new(2, "second"))
    assert channels.groups().tolist() == [0, 1, 0, 1]
    assert len(channels.bindings) == 1


def test_a_weight_that_the_layer_does_not_hold_protects():
    layer, other = keras.layers.Dense(2, name="quantized"), keras.layers.Dense(2)
    layer.build((None, 3))
    other.build((None, 3))
    channels = Channels()
    channels.bind(layer, other.kernel, 1, channels.new(2, "quantized"))
    assert "quantized computes its weights" in channels.protections[0][1]
