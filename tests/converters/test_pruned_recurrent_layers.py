"""Recurrent layers pruned or clustered in `fit`: their zeros and values are in the file."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.tflite import flatbuffer

OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(64, 6, 3)).astype("float32"), RANDOM.integers(0, 3, 64)


@pytest.fixture(autouse=True)
def seed():
    """Draw the same weights in each run: a layer draws its seed when it is made."""
    keras.utils.set_random_seed(0)


def trained(layer, callbacks, **settings):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 3)), layer, layers.Dense(3, name="out")])
    model = kc.compress(model, **settings) if settings else model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks)
    return model


def converted(model):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The operator of LSTM")
        return kc.convert(model, "cortex_m4", X)


def gate_weights(file):
    return [
        tensor.data
        for operator in flatbuffer.read(file).operators
        if operator.name == OPERATOR
        for tensor in operator.inputs[1:9]
    ]


def sqnr_db(file, model):
    plain = kc.strip(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Values beyond the samples' may be clipped.
        result = kc.evaluate(file, X, baseline=plain, latency_runs=0)
    return result.to_json()["output_error"]["sqnr_db"]


SLOW = pytest.mark.verify("one more training and conversion")


@pytest.mark.parametrize(
    ("wrap", "both_ways"),
    [
        (False, True),
        *(
            pytest.param(*case, marks=SLOW)
            for case in [(True, False), (False, False), (True, True)]
        ),
    ],
)
def test_the_zeros_of_fit_are_in_the_operator(wrap, both_ways):
    layer = layers.LSTM(8, name="rnn")
    layer = layers.Bidirectional(layer, name="rnn") if both_ways else layer
    callback = kc.PruningCallback(kc.ConstantSparsity(0.7))
    model = trained(layer, [callback], **({"pruning": kc.Pruning()} if wrap else {}))
    file = converted(model)
    weights = gate_weights(file)
    assert len(weights) == (16 if both_ways else 8)
    size = sum(array.size for array in weights)
    assert sum(int((array == 0).sum()) for array in weights) >= 0.7 * size - len(weights)
    assert sqnr_db(file, model) > 27


def test_a_lost_zero_of_a_gate_is_a_finding(monkeypatch):
    from keras_compress.converters.sequence_lstm import SequenceLstm

    callback = kc.PruningCallback(kc.ConstantSparsity(0.7))
    model = trained(layers.LSTM(8, name="rnn"), [callback], pruning=kc.Pruning())
    build = SequenceLstm.__init__

    def dense(self, layer, name=None):
        build(self, layer, name)
        self.kernel.assign(self.kernel + 0.1)

    monkeypatch.setattr(SequenceLstm, "__init__", dense)
    with pytest.raises(kc.ConversionError, match="of layer 'rnn': .* are not zero in the file"):
        converted(model)


@pytest.mark.verify("trains and converts an LSTM")
def test_clusters_stay_few_in_each_gate():
    clustering = kc.Clustering(clusters=6, per_channel=False)
    callbacks = [kc.ClusteringCallback(begin_step=4)]
    model = trained(layers.LSTM(8, name="rnn"), callbacks, clustering=clustering)
    file = converted(model)
    assert all(len(np.unique(array)) <= 6 for array in gate_weights(file))
    assert sqnr_db(file, model) > 24


@pytest.mark.parametrize(
    "layer",
    [layers.LSTM, pytest.param(layers.GRU, marks=pytest.mark.verify("hundreds of operators"))],
)
def test_an_unrolled_layer_keeps_its_zeros(layer):
    callback = kc.PruningCallback(kc.ConstantSparsity(0.7))
    model = trained(layer(4, unroll=True, name="rnn"), [callback], pruning=kc.Pruning())
    zeros = [
        int((tensor.data == 0).sum())
        for operator in flatbuffer.read(kc.convert(model, "float32")).operators
        for tensor in operator.inputs
        if tensor is not None and tensor.is_constant and len(tensor.shape) == 2
    ]
    kernels = [w.numpy() for w in kc.strip(model).weights if w.name.endswith("kernel")]
    assert sum(zeros) >= sum(int((kernel == 0).sum()) for kernel in kernels)


def test_masks_and_initial_states_reach_a_wrapped_layer():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 3))
    state = layers.Dense(4)(layers.Flatten()(inputs))
    masked = layers.Masking()(inputs)
    outputs, hidden, cell = layers.LSTM(4, return_state=True)(masked, [state, state])
    model = keras.Model(inputs, [outputs, hidden, cell])
    x = X.copy()
    x[:, 4:] = 0
    compressed = kc.compress(model, pruning=kc.Pruning())
    for one, other in zip(model(x), compressed(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
