import itertools
import warnings

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

import keras_compress as kc  # noqa: E402
from keras_compress.errors import InvalidArgumentError  # noqa: E402
from tests.fixtures.batches import batches  # noqa: E402
from tests.fixtures.tables import quickly  # noqa: E402

RNG = np.random.default_rng(0)
HEAD = 8 * 3  # weights of the last Dense


@keras.saving.register_keras_serializable("test_pruning_targets")
class Mixing(layers.Layer):
    """A custom layer without `compressed_weights`."""

    def build(self, input_shape):
        self.mix = self.add_weight(shape=(input_shape[-1], 8), name="mix")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.mix)


def nested(inner):
    return keras.Sequential([keras.Input((6, 4)), keras.Sequential([keras.Input((6, 4)), inner])])


BOTH, PLAIN, NEITHER = (False, True), (False,), ()
# Layer under test: how it is made, weights of its kernels, in which models it is pruned.
KINDS = {
    "lstm": (lambda: layers.LSTM(8, name="x"), 4 * 32 + 8 * 32, BOTH),
    "gru": (lambda: layers.GRU(8, name="x"), 4 * 24 + 8 * 24, BOTH),
    "simple_rnn": (lambda: layers.SimpleRNN(8, name="x"), 4 * 8 + 8 * 8, BOTH),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.SimpleRNN(4), name="x"),
        2 * (4 * 4 + 4 * 4),
        BOTH,
    ),
    "custom": (lambda: Mixing(name="x"), 4 * 8, NEITHER),
    "nested": (lambda: nested(layers.GRU(8, name="x")), 4 * 24 + 8 * 24, BOTH),
    "time_distributed": (lambda: layers.TimeDistributed(layers.Dense(8), name="x"), 32, PLAIN),
    "spectral": (lambda: layers.SpectralNormalization(layers.Dense(8), name="x"), 32, PLAIN),
    "nested_distributed": (
        lambda: layers.TimeDistributed(nested_dense(), name="x"),
        4 * 8,
        PLAIN,
    ),
}


def nested_dense():
    return keras.Sequential([keras.Input((4,)), layers.Dense(8)])


def network(kind):
    return keras.Sequential(
        [keras.Input((6, 4)), KINDS[kind][0](), layers.Reshape((-1, 8)), layers.Dense(3, name="h")]
    )


def fit(model, pruning=None, epochs=2):
    # Which weights are pruned is the same whether steps are traced or not.
    model.compile("sgd", "mse", run_eagerly=True)
    x = RNG.normal(size=(16, 6, 4)).astype("float32")
    y = np.zeros((16, *model.output_shape[1:]), "float32")
    callback = kc.PruningCallback(kc.ConstantSparsity(0.5), pruning)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(
            batches(8, x, y), epochs=epochs, shuffle=False, verbose=0, callbacks=[callback]
        )
    told = [str(w.message) for w in caught if "will be pruned" in str(w.message)]
    return history.history["sparsity"][-1], told, callback


def zeros(model):
    """Count zeros in the matrices of a model."""
    arrays = [keras.ops.convert_to_numpy(w) for w in kc.strip(model).trainable_weights]
    return sum(int(np.sum(array == 0)) for array in arrays if array.ndim > 1)


verify = pytest.mark.verify("trains each kind of layer, plain and compressed")
CASES = [
    pytest.param(kind, wrap, marks=verify if (i + wrap) % 2 else ())
    for i, kind in enumerate(KINDS)
    for wrap in (False, True)
]


@pytest.mark.parametrize(("kind", "wrap"), CASES)
def test_sparsity_is_that_of_all_kernels_and_unreached_layers_are_named(kind, wrap):
    _, size, pruned_in = KINDS[kind]
    model = network(kind)
    model = kc.compress(model, kc.Pruning()) if wrap else model
    sparsity, told, callback = fit(model)
    reached = HEAD + (size if wrap in pruned_in else 0)
    assert sparsity == callback.sparsity == pytest.approx(0.5 * reached / (HEAD + size))
    assert zeros(model) == round(sparsity * (HEAD + size))
    assert callback.target_reached
    if reached == HEAD:
        (message,) = told
        share = round(100 * size / (HEAD + size))
        assert f"{size:,} weights, {share} % of the model's kernels) will be pruned" in message
        assert "0 % of layer 'x'" in message and "'h'" not in message and len(message) < 600
    else:
        assert not told


@pytest.mark.parametrize(
    "pruning", [{"h": kc.Pruning()}, kc.Pruning(layers=lambda layer: layer.name == "h")]
)
@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "compressed"])
def test_layers_excluded_on_purpose_count_without_a_warning(pruning, wrap):
    model = network("gru")
    model = kc.compress(model, pruning) if wrap else model
    sparsity, told, _ = fit(model, None if wrap else pruning)
    assert sparsity == pytest.approx(0.5 * HEAD / (HEAD + KINDS["gru"][1]))
    assert not told


def test_a_layer_that_only_a_predicate_selects_is_named_in_a_plain_model():
    _, told, _ = fit(network("custom"), kc.Pruning(layers=lambda layer: layer.name != "other"))
    assert len(told) == 1 and "'x' (Mixing" in told[0]


RECURRENT = ["lstm", "gru", "simple_rnn", "bidirectional"]
WAYS = {"name": {"x": kc.Pruning()}, "rule": kc.Pruning(layers=lambda layer: layer.name == "x")}


@pytest.mark.parametrize(
    "case",
    quickly(list(itertools.product(RECURRENT, WAYS, [False, True])), "trains a network", every=3),
    ids=str,
)
def test_a_recurrent_layer_is_selected_by_its_own_name(case):
    kind, way, wrap = case
    (_, size, _), pruning = KINDS[kind], WAYS[way]
    model = network(kind)
    model = kc.compress(model, pruning) if wrap else model
    sparsity, told, _ = fit(model, None if wrap else pruning)
    assert sparsity == pytest.approx(0.5 * size / (HEAD + size)) and not told
    assert zeros(model) == size // 2


def test_a_depthwise_kernel_counts_only_if_it_is_selected():
    def model():
        return keras.Sequential(
            [
                keras.Input((6, 4)),
                layers.Reshape((6, 4, 1)),
                layers.DepthwiseConv2D(2, name="depthwise", depth_multiplier=4),
                layers.Dense(3, name="h"),
            ]
        )

    assert fit(model())[0] == 0.5
    sparsity, told, _ = fit(model(), {"depthwise": kc.Pruning()})
    assert sparsity == pytest.approx(8 / (16 + 12)) and not told


def test_a_compressed_model_without_wrapped_layers_is_not_pruned_as_a_plain_one():
    plain = keras.Sequential([keras.Input((6, 4)), layers.Dense(3)])
    unwrapped = kc.Quantization(layers=lambda layer: False)
    model = kc.compress(plain, quantization=unwrapped)
    with pytest.raises(InvalidArgumentError, match="compressed without pruning"):
        fit(model)


def test_fit_checks_the_zeros_of_what_is_reached():
    class Undo(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.weights = self.model.get_weights()

        def on_train_end(self, logs=None):
            self.model.set_weights(self.weights)

    model = network("gru")
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.ones((8, 6, 4), "float32"), np.zeros((8, 1, 3), "float32")
    prune = kc.PruningCallback(kc.ConstantSparsity(0.9), {"h": kc.Pruning()})
    with pytest.raises(kc.CompressionError, match="as sparse as the logs say"):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[prune, Undo()])
