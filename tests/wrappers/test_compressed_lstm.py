"""LSTMs under quantization: in float Keras' own layer, then the integers of TFLite's kernels."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.graph.graph import all_layers
from keras_compress.quantization.lstm_rounding import cell_limit
from keras_compress.wrappers.compressed_lstm import CompressedLstm
from keras_compress.wrappers.phase import Phase, PhasedLayer

STEPS, CHANNELS = 6, 3
X = np.random.default_rng(0).normal(size=(32, STEPS, CHANNELS)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 32)
KINDS = {
    "last": lambda: layers.LSTM(4, name="memory"),
    "sequences": lambda: layers.LSTM(4, return_sequences=True, unroll=True, name="memory"),
    "backwards": lambda: layers.LSTM(4, go_backwards=True, use_bias=False, name="memory"),
    "cell": lambda: layers.RNN(layers.LSTMCell(4), return_sequences=True, name="memory"),
    "both ways": lambda: layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="memory"),
    "sum": lambda: layers.Bidirectional(layers.LSTM(4), merge_mode="sum", name="memory"),
    "product": lambda: layers.Bidirectional(
        layers.LSTM(3, return_sequences=True), merge_mode="mul", name="memory"
    ),
    "dropout": lambda: layers.LSTM(4, dropout=0.3, recurrent_dropout=0.3, name="memory"),
}


def network(kind):
    model = keras.Sequential([keras.Input((STEPS, CHANNELS)), KINDS[kind]()])
    random = np.random.default_rng(2)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    return model


def compressed(model, **options):
    return kc.compress(model, quantization="generic_int8", **options)


def set_phase(model, phase):
    for layer in model.layers:
        if isinstance(layer, PhasedLayer):
            layer.set_phase(phase)


def wrappers(model):
    return [layer for layer in model.layers if isinstance(layer, CompressedLstm)]


@pytest.mark.parametrize("kind", KINDS)
def test_before_quantization_begins_it_computes_what_keras_does_and_strip_restores_it(kind):
    model = network(kind)
    there = compressed(model)
    set_phase(there, Phase.OFF)
    np.testing.assert_allclose(there(X), model(X), rtol=1e-4, atol=1e-5)
    back = kc.strip(there)
    assert [type(layer) for layer in back.layers[1:]] == [type(model.layers[0])]
    assert back.layers[1].get_config() == model.layers[0].get_config()
    for old, new in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_layer_that_is_called_twice_is_one_wrapper():
    inputs = [keras.Input((STEPS, CHANNELS)) for _ in range(2)]
    shared = layers.LSTM(4, name="memory")
    model = keras.Model(inputs, layers.Subtract()([shared(each) for each in inputs]))
    there = compressed(model)
    assert len(wrappers(there)) == 1
    set_phase(there, Phase.OFF)
    np.testing.assert_allclose(there([X, -X]), model([X, -X]), rtol=1e-4, atol=1e-5)
    assert len(kc.strip(there).weights) == len(model.weights)


def quantized(value, scale, low=-(2**15), high=2**15 - 1):
    return np.clip(np.floor(value / scale + 0.5), low, high).astype(np.int64)


def integer_lstm(wrapper, inputs, input_step, output_range):
    """Compute with integers what `lstm_eval.cc` does, sigmoid and tanh without their tables."""
    units, gates = wrapper.layer.units, {k.attribute: k for k in wrapper.kernels}
    scales, integers = {}, {}
    for name, kernel in gates.items():
        scales[name] = float(np.ravel(wrapper.scale(kernel))[0])
        integers[name] = quantized(
            keras.ops.convert_to_numpy(wrapper.variable(kernel)), scales[name]
        )
    biases = np.split(keras.ops.convert_to_numpy(wrapper.layer.bias), 4)
    low, high = output_range
    output_scale = (high - low) / 255
    zero = round(-low / output_scale)
    limit = cell_limit(max(map(abs, wrapper.cell_range.range)))
    cell_scale = limit / 2**15
    x = quantized(inputs, input_step)
    hidden = np.zeros((len(x), units), np.int64)  # the integers less the zero point
    cell = np.zeros_like(hidden)
    for step in range(x.shape[1]):
        totals = {}
        for gate, bias in zip(("input", "forget", "cell", "output"), biases, strict=True):
            of_input, of_state = scales[f"{gate}_kernel"], scales[f"{gate}_recurrent"]
            sums = x[:, step] @ integers[f"{gate}_kernel"]
            sums = sums + quantized(bias, input_step * of_input, -(2**31), 2**31)
            first = quantized(sums * input_step * of_input, 2**-12)
            second = hidden @ integers[f"{gate}_recurrent"] * output_scale * of_state
            total = np.clip(first + quantized(second, 2**-12), -(2**15), 2**15 - 1)
            totals[gate] = total * 2**-12
        i, f, o = (
            quantized(1 / (1 + np.exp(-totals[g])), 2**-15) for g in ("input", "forget", "output")
        )
        g = quantized(np.tanh(totals["cell"]), 2**-15)
        cell = quantized(f * cell * 2**-15, 1) + quantized(i * g * 2**-30, cell_scale)
        cell = np.clip(cell, -(2**15) + 1, 2**15 - 1)
        shown = o * quantized(np.tanh(cell * cell_scale), 2**-15) * 2**-30
        hidden = quantized(shown, output_scale, -zero, 255 - zero)
        yield hidden * output_scale


def test_once_quantized_each_step_is_that_of_the_integer_kernels():
    model = kc.calibrate(compressed(network("sequences")), X)
    (wrapper,) = wrappers(model)
    ranges = {layer.name: layer for layer in all_layers(model) if "range" in layer.name}
    (source,) = (q for name, q in ranges.items() if name.startswith("input"))
    rounded = keras.ops.convert_to_numpy(source(X))
    outputs = keras.ops.convert_to_numpy(model(X))
    expected = np.stack(
        list(integer_lstm(wrapper, rounded, float(source.step), ranges["memory_range"].range)), 1
    )
    step = float(ranges["memory_range"].step)
    difference = np.abs(outputs - expected) / step
    # Sums of floats round to the other side where integers lie on a tie.
    assert (difference < 0.1).mean() > 0.995 and difference.max() < 1.5


def test_the_cell_is_rounded_only_once_its_range_is_known():
    model = compressed(network("last"))
    (wrapper,) = wrappers(model)
    assert float(wrapper.cell_range.limit) == 0
    kc.calibrate(model, X)
    states = layers.LSTM(4, return_state=True)
    states(X)
    states.set_weights(kc.strip(model).layers[1].get_weights())
    cells = [np.abs(keras.ops.convert_to_numpy(states(X[:, : n + 1])[2])).max() for n in range(6)]
    largest = max(map(abs, wrapper.cell_range.range))
    # In calibration the kernels are rounded already.
    assert largest == pytest.approx(max(cells), rel=0.02)
    assert float(wrapper.cell_range.limit) == cell_limit(largest)


def test_it_learns_prunes_and_is_loaded_again(tmp_path):
    model = compressed(network("sequences"), pruning=kc.Pruning())
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    before = [w.variable(k).numpy() for w in wrappers(model) for k in w.kernels]
    callbacks = [
        kc.PruningCallback(kc.ConstantSparsity(0.5)),
        kc.QuantizationCallback(freeze_step=3),
    ]
    targets = np.random.default_rng(3).normal(size=(32, STEPS, 4))
    history = model.fit(X, targets, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
    assert history.history["sparsity"][-1] == pytest.approx(0.5, abs=0.05)
    after = [w.variable(k).numpy() for w in wrappers(model) for k in w.kernels]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
    assert all(float(wrapper.cell_range.limit) >= 1 for wrapper in wrappers(model))
    assert all(w.phase == w.cell_range.phase == Phase.FROZEN for w in wrappers(model))
    kernels = [w for w in kc.strip(model).get_weights() if w.ndim == 2]
    assert all(np.mean(kernel == 0) == pytest.approx(0.5, abs=0.1) for kernel in kernels)
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))


def test_dropout_acts_in_training_alone():
    model = compressed(network("dropout"))
    outputs = keras.ops.convert_to_numpy(model(X, training=False))
    np.testing.assert_array_equal(outputs, model(X, training=False))
    assert np.abs(outputs - keras.ops.convert_to_numpy(model(X, training=True))).max() > 0.01


def test_weights_keep_eight_bits_and_a_regularizer_counts_each_weight_once():
    lstm = layers.LSTM(4, kernel_regularizer="l2", recurrent_regularizer="l1", name="memory")
    model = keras.Sequential([keras.Input((STEPS, CHANNELS)), lstm])
    there = kc.compress(model, quantization=kc.Quantization(weight_bits=4))
    (wrapper,) = wrappers(there)
    assert wrapper.weight_bits == 8
    assert sum(map(float, there.losses)) == pytest.approx(sum(map(float, model.losses)), rel=1e-5)


def test_rounding_after_training_leaves_the_layer_as_it_is():
    model = keras.Sequential([*network("last").layers, layers.Dense(3, name="head")])
    model(X)
    model = kc.calibrate(compressed(model), X)
    (wrapper,) = wrappers(model)
    before = [weight.numpy() for weight in wrapper.layer.weights]
    dense = model.get_layer("head")
    bias = dense.layer.bias.numpy()
    kc.round_weights(model, X, "nearest")
    for old, new in zip(before, wrapper.layer.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert (dense.layer.bias.numpy() != bias).any()
