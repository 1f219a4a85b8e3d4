import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.compressed_layer import CompressedLayer


def _calibrated(network, samples, **options):
    model = kc.compress(network, quantization=kc.Quantization(weight_bits=3, **options))
    return kc.calibrate(model, samples, method="min_max", batch_size=128)


def _normalized(samples, per_channel):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, use_bias=False)(inputs)
    network = keras.Model(inputs, keras.layers.BatchNormalization(epsilon=1e-5)(x))
    gamma, beta = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
    network.layers[-1].set_weights([gamma, beta, np.full(6, 3.0), np.full(6, 0.3)])
    model = _calibrated(network, samples, per_channel=per_channel)
    (wrapper,) = [layer for layer in model.layers if isinstance(layer, CompressedLayer)]
    return model, wrapper, gamma, beta


def test_normalized_channels_have_the_mean_and_spread_of_beta_and_gamma(samples):
    model, wrapper, gamma, beta = _normalized(samples, per_channel=True)
    kc.reestimate_batch_norm(model, samples)
    rounded = [(wrapper.layer.kernel, np.asarray(wrapper.effective_kernel(wrapper.kernels[0])))]
    with keras.StatelessScope(state_mapping=rounded):
        outputs = np.asarray(wrapper.batch_norm(wrapper.layer(samples), training=False))
    np.testing.assert_allclose(outputs.mean(axis=(0, 1, 2)), beta, atol=0.05)
    np.testing.assert_allclose(outputs.std(axis=(0, 1, 2)), gamma, rtol=0.05)


def test_layers_whose_grid_would_move_stay(samples):
    model, wrapper, *_ = _normalized(samples, per_channel=False)
    kc.reestimate_batch_norm(model, samples)
    np.testing.assert_allclose(wrapper.batch_norm.moving_mean, 3.0)


def test_later_layers_see_the_earlier_ones_as_mended(network, samples):
    float_outputs = np.asarray(network(samples))
    model = _calibrated(network, samples)
    kc.reestimate_batch_norm(model, samples)
    once = [np.asarray(v) for v in model.variables]
    kc.reestimate_batch_norm(model, samples)
    for before, after in zip(once, model.variables, strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
    assert np.isfinite(np.asarray(model(samples)) - float_outputs).all()


def test_a_normalization_that_stands_alone_is_measured_too(samples):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.ReLU()(keras.layers.Conv2D(4, 3)(inputs))
    network = keras.Model(inputs, keras.layers.BatchNormalization(name="lone")(x))
    model = kc.reestimate_batch_norm(_calibrated(network, samples), samples)
    outputs = np.asarray(model.get_layer("lone").layer.moving_mean)
    assert (outputs != 0).all()


def _spread_behind(norm, inputs, samples):
    outputs = np.asarray(keras.Model(inputs, norm)(samples, training=False))
    return outputs.mean(axis=(0, 1, 2)), outputs.std(axis=(0, 1, 2))


def _norms(model):
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


@pytest.mark.parametrize("pruned", [True, False])
def test_normalizations_of_a_pruned_and_of_a_plain_model_fit_their_inputs(network, samples, pruned):
    model = keras.models.clone_model(network)
    model.set_weights(network.get_weights())
    if pruned:
        model = kc.compress(model, pruning=kc.Pruning())
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(
            samples[:32],
            np.zeros((32, 5)),
            callbacks=[kc.PruningCallback(kc.OneShot(0.75, step=0))],
            verbose=0,
        )
    kc.reestimate_batch_norm(model, samples)
    for norm in _norms(model):
        mean, deviation = _spread_behind(norm.output, model.input, samples)
        gamma, beta, _, variance = (np.asarray(weight) for weight in norm.weights)
        np.testing.assert_allclose(mean, beta, atol=1e-3)
        exact = np.abs(gamma) * np.sqrt(variance / (variance + norm.epsilon))
        np.testing.assert_allclose(deviation, exact, rtol=1e-3)


def test_refuses_a_model_whose_ranges_are_not_known(network, samples):
    model = kc.compress(network, quantization=kc.Quantization())
    with pytest.raises(InvalidArgumentError, match="reestimate_batch_norm"):
        kc.reestimate_batch_norm(model, samples)


def test_refuses_what_is_no_model(samples):
    with pytest.raises(kc.errors.UnsupportedModelError, match="Received: builtins.int"):
        kc.reestimate_batch_norm(3, samples)
