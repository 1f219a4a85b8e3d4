"""A small network and data whose derivatives can be checked by finite differences."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.group_statistics import GroupStatistics

UNITS = 5


class Case:
    """A network with one hidden layer, whose scores are checked by perturbing its weights."""

    def __init__(self, activation):
        keras.utils.set_random_seed(3)
        rng = np.random.default_rng(3)
        hidden = layers.Dense(UNITS, activation=activation, name="hidden")
        self.model = keras.Sequential([keras.Input((4,)), hidden, layers.Dense(2)])
        self.x = rng.normal(size=(24, 4)).astype("float32")
        self.y = rng.normal(size=(24, 2)).astype("float32")
        self.hidden = hidden
        hidden.bias.assign(rng.normal(size=UNITS) * 0.3)
        self.head = self.model.layers[-1]

    def statistics(self, batch_size=24, loss="mse"):
        graph = DependencyGraph(self.model)
        return GroupStatistics(graph, (self.x, self.y), loss, batch_size)

    def arrays(self):
        return [np.asarray(w, "float64") for w in self.model.weights]

    def outputs(self, arrays=None):
        kernel, bias, kernel2, bias2 = self.arrays() if arrays is None else arrays
        inner = self.x.astype("float64") @ kernel + bias
        if self.hidden.activation.__name__ == "relu":
            inner = np.maximum(inner, 0)
        return inner @ kernel2 + bias2

    def loss(self, arrays=None):
        return np.mean((self.outputs(arrays) - self.y) ** 2)

    def groups_of(self, scores):
        """Return the scores of the hidden units, which are the first groups."""
        return scores[:UNITS]

    def members(self, unit):
        """Return (array number, index) of all weights of a hidden unit."""
        return [
            *((0, (i, unit)) for i in range(4)),
            (1, (unit,)),
            *((2, (unit, j)) for j in range(2)),
        ]

    def derivative(self, function, place, step=1e-4):
        number, index = place
        results = []
        for sign in (1, -1):
            arrays = self.arrays()
            arrays[number][index] += sign * step
            results.append(function(arrays))
        return (results[0] - results[1]) / (2 * step)

    def second_derivative(self, place, step=1e-3):
        number, index = place
        values = []
        for shift in (step, 0, -step):
            arrays = self.arrays()
            arrays[number][index] += shift
            values.append(self.loss(arrays))
        return (values[0] - 2 * values[1] + values[2]) / step**2


@pytest.fixture
def relu_case():
    return Case("relu")


@pytest.fixture
def linear_case():
    return Case("linear")
