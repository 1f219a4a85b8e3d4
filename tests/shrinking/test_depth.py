"""blocks.py and depth.py: blocks are found, scored by their effect, and removed whole."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.blocks import find_blocks
from keras_compress.shrinking.dependency_graph import DependencyGraph


@pytest.fixture(scope="module")
def residual():
    keras.utils.set_random_seed(5)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for i, filters in enumerate([8, 8, 16, 16]):
        skip = x
        if x.shape[-1] != filters:
            skip = layers.Conv2D(filters, 1, name=f"project{i}")(x)
        y = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"a{i}")(x)
        y = layers.Conv2D(filters, 3, padding="same", name=f"b{i}")(y)
        x = layers.ReLU()(layers.Add(name=f"add{i}")([y, skip]))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    kernel = model.get_layer("b1").kernel
    kernel.assign(kernel * 1e-3)
    return model


def chain():
    inputs = x = keras.Input((8, 8, 3))
    for i, filters in enumerate([8, 8, 8, 16]):
        x = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(layers.Conv2D(filters, 1, name=f"pointwise{i}")(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_residual_blocks_are_those_with_an_identity_skip(residual):
    blocks = find_blocks(DependencyGraph(residual))
    assert [block.name for block in blocks] == ["add0", "add1", "add3"]
    assert {call.name for call in blocks[0].calls} == {"a0", "b0", "add0"}


def test_repetitions_of_a_chain_are_blocks():
    blocks = find_blocks(DependencyGraph(chain()))
    assert [block.name for block in blocks] == ["relu2"]
    assert [call.name for call in blocks[0].calls] == ["depthwise2", "pointwise2", "relu2"]


def test_block_that_changes_the_outputs_least_goes_first(residual):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    smaller, report = kc.shrink(
        residual, macs=0.95, granularity="layers", data=x, return_report=True
    )
    assert report.removed_blocks == ("add1",)
    np.testing.assert_allclose(smaller(x), residual(x), rtol=0.05, atol=0.02)
    assert "a1" not in {layer.name for layer in smaller.layers}
    assert report.parameters == (residual.count_params(), smaller.count_params())
    assert sum(DependencyGraph(smaller).macs().values()) == report.macs[1]


def test_without_data_the_criterion_scores():
    model = chain()
    smaller = kc.shrink(model, parameters=0.95, granularity="layers", criterion="l1_norm")
    assert "pointwise2" not in {layer.name for layer in smaller.layers}
    assert smaller.output.shape == model.output.shape


def test_more_than_all_blocks_is_refused(residual):
    with pytest.raises(InvalidArgumentError, match="add0, add1, add3"):
        kc.shrink(residual, macs=0.1, granularity="layers")
    with pytest.raises(InvalidArgumentError, match="granularity"):
        kc.shrink(residual, granularity="blocks")
