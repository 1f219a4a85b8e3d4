"""Layers inside wrappers: losses, statistics and seeds are kept, whatever scope is around."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.phase import Phase, PhasedLayer
from keras_compress.wrappers.replaced_variables import ReplacedVariables, call_with
from tests.fixtures.batches import batches

X = np.random.default_rng(0).normal(size=(32, 8, 8, 2)).astype(np.float32)
Y = np.arange(32) % 3
WAYS = [
    {"pruning": kc.Pruning()},
    {"clustering": kc.Clustering(clusters=4)},
    {"quantization": "generic_int8"},
    {"pruning": kc.Pruning(), "quantization": "generic_int8"},
]


@keras.saving.register_keras_serializable("replaced_variables")
class Busy(layers.Layer):
    """A layer that does what a call may do: read weights, update others, draw, add losses."""

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 4))
        self.bias = self.add_weight(name="bias", shape=(4,), initializer="zeros")
        self.average = self.add_weight(name="average", shape=(4,), initializer="zeros")
        self.average.trainable = False
        self.dropout = layers.Dropout(0.5, seed=3)
        self.activity = layers.ActivityRegularization(l2=0.1)

    def compressed_weights(self):
        return {"kernel": -1}

    def call(self, x, training=None):
        y = ops.matmul(self.activity(x), self.kernel) + self.bias
        self.average.assign(0.9 * self.average + 0.1 * ops.mean(y, axis=0))
        self.add_loss(ops.mean(ops.square(y)))
        return self.dropout(y, training=training)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 4)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            layers.Conv2D(4, 3, activity_regularizer="l2", kernel_regularizer="l1"),
            layers.BatchNormalization(activity_regularizer="l2"),
            layers.ReLU(activity_regularizer="l1"),
            layers.GlobalAveragePooling2D(),
            Busy(name="busy"),
            layers.Dense(3, activation="softmax", activity_regularizer="l2"),
        ]
    )


def compressed(model, options):
    """Compress a model whose quantization has not begun, so that it computes the same."""
    made = kc.compress(model, **options)
    for layer in all_layers(made):
        if isinstance(layer, PhasedLayer):
            layer.set_phase(Phase.OFF)
    return made


def loss_terms(model, x=X):
    model(x)
    return sorted(float(ops.convert_to_numpy(term)) for term in model.losses)


def fitted(model, traced=True):
    """Train for two steps; return the losses and what the layer in the middle has become."""
    options = {"jit_compile": False, "run_eagerly": not traced}
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", **options)
    history = model.fit(batches(16, X, Y), epochs=1, shuffle=False, verbose=0)
    (busy,) = (layer for layer in all_layers(model) if isinstance(layer, Busy))
    seed = busy.dropout.seed_generator.state
    return [
        history.history["loss"],
        *(ops.convert_to_numpy(v) for v in (busy.kernel, busy.bias, busy.average, seed)),
    ]


@pytest.fixture(scope="module")
def plain():
    """The terms of a plain model's loss, and what its training leads to."""
    model = network()
    return loss_terms(model), fitted(model)


TRACES = pytest.mark.verify("traces all phases of a network for each way of compressing it")


@pytest.mark.parametrize(
    ("options", "traced"),
    [
        (WAYS[0], True),
        (WAYS[1], False),
        (WAYS[3], False),
        *(pytest.param(options, True, marks=TRACES) for options in WAYS[1:]),
    ],
    ids=["pruned", "clustered-eagerly", "both-eagerly", "clustered", "quantized", "both"],
)
def test_a_training_is_that_of_the_plain_model(options, traced, plain):
    terms, results = plain
    twin = compressed(network(), options)
    np.testing.assert_allclose(loss_terms(twin), terms, rtol=1e-5)
    for theirs, ours in zip(results, fitted(twin, traced), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


REGULARIZED = {
    "dense": lambda r: layers.Dense(4, activity_regularizer=r),
    "dense with sigmoid": lambda r: layers.Dense(4, "sigmoid", activity_regularizer=r),
    "dense with silu": lambda r: layers.Dense(4, "silu", activity_regularizer=r),
    "silu": lambda r: layers.Activation("silu", activity_regularizer=r),
    "conv2d": lambda r: layers.Conv2D(4, 3, activation="relu", activity_regularizer=r),
    "depthwise": lambda r: layers.DepthwiseConv2D(3, activity_regularizer=r),
    "separable": lambda r: layers.SeparableConv2D(4, 3, activation="tanh", activity_regularizer=r),
    "transposed": lambda r: layers.Conv2DTranspose(4, 3, activity_regularizer=r),
    "layer normalization": lambda r: layers.LayerNormalization(activity_regularizer=r),
}


# Pruning wraps nothing in these.
UNPRUNED = {"silu", "depthwise", "layer normalization"}


@pytest.mark.parametrize("kind", REGULARIZED)
def test_activity_is_regularized_where_the_layer_ends(kind):
    assert_activity_is_regularized(kind, WAYS[2])


@pytest.mark.verify("a network for each layer")
@pytest.mark.parametrize("kind", sorted(REGULARIZED.keys() - UNPRUNED))
def test_activity_is_regularized_where_a_pruned_layer_ends(kind):
    assert_activity_is_regularized(kind, {"pruning": kc.Pruning()})


def assert_activity_is_regularized(kind, options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(X.shape[1:]), REGULARIZED[kind]("l2")])
    twin = compressed(model, options)
    np.testing.assert_allclose(sum(loss_terms(twin)), sum(loss_terms(model)), rtol=1e-5)


def dense(**options):
    layer = layers.Dense(2, **options)
    layer.build((None, 3))
    return layer


def test_updates_reach_the_variable_and_a_replaced_one_keeps_its_new_value():
    layer = dense()
    with ReplacedVariables([(layer.kernel, ops.ones((3, 2)))]):
        layer.bias.assign([5.0, 6.0])
        layer.kernel.assign(2 * ops.convert_to_tensor(layer.kernel))
        inside = ops.convert_to_numpy(layer.kernel)
    np.testing.assert_array_equal(inside, np.full((3, 2), 2.0))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.kernel), np.full((3, 2), 2.0))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.bias), [5.0, 6.0])


def test_a_scope_around_it_holds_the_other_values_and_takes_the_updates():
    layer = dense()
    before = ops.convert_to_numpy(layer.bias)
    with keras.StatelessScope([(layer.bias, ops.array([1.0, 2.0]))], collect_losses=True) as outer:
        with ReplacedVariables([(layer.kernel, ops.zeros((3, 2)))]):
            outputs = layer(np.ones((1, 3), np.float32))
            layer.bias.assign([7.0, 8.0])
        new = ops.convert_to_numpy(outer.get_current_value(layer.bias))
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[1.0, 2.0]])
    np.testing.assert_array_equal(new, [7.0, 8.0])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.bias), before)


@pytest.mark.parametrize("collects", [True, False])
def test_losses_in_a_scope_are_counted_once_and_only_where_it_collects(collects):
    layer = dense(activity_regularizer="l2")
    replacements = [(layer.kernel, ops.ones((3, 2)))]
    values = [(weight, ops.convert_to_tensor(weight)) for weight in layer.weights]
    with keras.StatelessScope(values, collect_losses=collects):
        call_with(layer, replacements, np.ones((1, 3), np.float32))
        terms = [float(ops.convert_to_numpy(term)) for term in layer.losses]
    np.testing.assert_allclose(terms, [0.18] if collects else [], rtol=1e-5)


def test_scopes_nest():
    layer = dense()
    with ReplacedVariables([(layer.kernel, ops.ones((3, 2)))]):
        with ReplacedVariables([(layer.bias, ops.ones((2,)))]):
            outputs = layer(np.ones((1, 3), np.float32))
        layer.bias.assign([4.0, 4.0])
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs), [[4.0, 4.0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.bias), [4.0, 4.0])
