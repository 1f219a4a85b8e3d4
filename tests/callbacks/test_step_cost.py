"""What quantization adds to a traced training step, counted in operations: no clock is read."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_compress as kc
from keras_compress.wrappers.phase import Phase
from keras_compress.wrappers.state_variable import known_values, state_variables

UNITS, LAYERS = 128, 3
# What is no pass over the data, or is left out when TensorFlow optimizes the function.
FREE = {"Const", "Identity", "IdentityN", "Placeholder", "ReadVariableOp", "StopGradient"}


def quantized(model):
    return kc.compress(model, quantization=kc.Quantization())


def network():
    x = inputs = keras.Input((UNITS,))
    for _ in range(LAYERS):
        x = layers.Dense(UNITS, activation="relu")(x)
    return keras.Model(inputs, x)


def operations(model, phase=None):
    """Return the operations of a training step in a phase, as `fit` traces it on a CPU."""
    x = np.ones((8, UNITS), "float32")
    for layer in model.layers:
        layer.compiled_by_xla, layer.runs_on_cpu = False, True

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True))
        return tape.gradient(loss, model.trainable_variables)

    variables = [v for v in state_variables(model) if v.path.endswith("phase")]
    widths = [v for v in state_variables(model) if v.path.endswith("bits")]
    values = [int(phase) for _ in variables] + [8] * len(widths)
    with known_values([*variables, *widths], values):
        graph = step.get_concrete_function(x).graph
    return [operation for operation in needed(graph) if operation.type not in FREE]


def needed(graph):
    """Return the operations that the results of a graph, or its assignments, depend on."""
    assigned = [each for each in graph.get_operations() if each.type.startswith("Assign")]
    waiting, reached = [output.op for output in graph.outputs] + assigned, set()
    while waiting:
        operation = waiting.pop()
        if operation not in reached:
            reached.add(operation)
            waiting += [each.op for each in operation.inputs] + list(operation.control_inputs)
    return reached


def of_kernel_size(found):
    return [each.type for each in found if each.outputs and each.outputs[0].shape == (UNITS, UNITS)]


# Magnitudes (two or three times, which TensorFlow merges), division, rounding, a branch for the
# clipping, the multiplication, the sum that TensorFlow leaves out, and a branch for the gradient.
@pytest.mark.parametrize(("phase", "most"), [(Phase.LEARNING, 8), (Phase.FROZEN, 9)])
def test_each_kernel_is_passed_over_a_few_times(phase, most):
    model = network()
    plain = of_kernel_size(operations(model))
    passes = of_kernel_size(operations(quantized(model), phase))
    assert len(passes) - len(plain) <= most * LAYERS, sorted(passes)


@pytest.mark.parametrize(("phase", "most"), [(Phase.LEARNING, 140), (Phase.FROZEN, 220)])
def test_three_layers_and_four_ranges_add_a_few_operations(phase, most):
    model = network()
    assert len(operations(quantized(model), phase)) - len(operations(model)) <= most
