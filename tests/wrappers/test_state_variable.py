"""The weights that say what a layer computes: one home, followed by functions already compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_compress.wrappers.state_variable import (
    StateVariable,
    known_values,
    state_variables,
    when,
    where,
)

BRANCHES = [lambda: tf.constant(0), lambda: tf.constant(10), lambda: tf.constant(20)]


class Stateful(keras.layers.Layer):
    def build(self, shape):
        with keras.name_scope(self.name, caller=self):
            self.state = StateVariable("state", 1)
        self.sibling = self.add_weight(name="sibling", shape=(), trainable=False)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_compiled_function_follows_the_weight(jit_compile):
    variable = StateVariable("state", 0)
    choose = tf.function(lambda: variable.choose(BRANCHES), jit_compile=jit_compile)
    results = []
    for value in (0, 2, 1):
        variable.assign(value)
        results.append((int(choose()), int(variable.choose(BRANCHES))))
    assert results == [(0, 0), (20, 20), (10, 10)]


def test_beyond_the_last_branch_the_last_applies():
    variable = StateVariable("state", 2)
    with known_values([variable], [2]):
        known = int(variable.choose(BRANCHES[:2]))
    assert known == int(variable.choose(BRANCHES[:2])) == 10
    assert int(variable.choose(BRANCHES, first=2)) == 0


def test_a_known_value_leaves_one_branch_in_the_graph():
    variable = StateVariable("state", 1)
    with known_values([variable], [1]):
        graph = tf.function(lambda: variable.choose(BRANCHES)).get_concrete_function().graph
        assert variable.at_least(1) is True and variable.at_least(2) is False
    assert not any("Case" in operation.type for operation in graph.get_operations())
    assert variable.known is None


def test_every_way_of_assigning_is_noticed():
    layer = Stateful(name="layer")
    model = keras.Sequential([keras.Input((2,)), layer])
    assert state_variables(model) == [layer.state]
    assert layer.state.path == layer.sibling.path.replace("sibling", "state")
    changes = [StateVariable.last_change]
    layer.state.assign(2)
    changes.append(StateVariable.last_change)
    model.set_weights([np.int32(0), np.float32(0)])
    changes.append(StateVariable.last_change)
    assert changes == sorted(set(changes)) and layer.state.read() == 0


def test_a_condition_known_in_python_takes_one_side():
    assert when(False, lambda: 1 / 0, lambda: 2) == 2
    assert int(when(tf.constant(True), lambda: tf.constant(1), lambda: tf.constant(2))) == 1
    assert int(where(tf.constant(False), 1, 2)) == where(False, 1, 2) == 2
