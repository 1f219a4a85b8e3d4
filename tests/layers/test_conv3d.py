"""Conv3D: its kernel is pruned but not quantized, as in every file."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import trace
from keras_compress.post_training.channel_links import channel_links
from keras_compress.tflite import flatbuffer

pytestmark = pytest.mark.filterwarnings("ignore:kc.convert refuses these layers:UserWarning")


@pytest.fixture(scope="module")
def volumes():
    return np.random.default_rng(0).uniform(size=(16, 5, 5, 5, 2)).astype("float32")


@pytest.fixture(scope="module")
def trained(volumes):
    keras.utils.set_random_seed(0)
    stack = [
        layers.Conv3D(4, 3, activation="relu", name="volume"),
        layers.Flatten(),
        layers.Dense(2, name="head"),
    ]
    model = keras.Sequential([keras.Input((5, 5, 5, 2)), *stack])
    with pytest.warns(UserWarning, match=r"volume \(Conv3D: its kernel is in float in every file"):
        model = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    model.compile("sgd", "mse", run_eagerly=True)
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
    model.fit(volumes, np.ones((16, 2)), epochs=2, verbose=0, callbacks=callbacks)
    return model


@pytest.fixture(scope="module")
def file(trained, volumes):
    converted = kc.convert(
        trained,
        profile="generic_int8",
        representative_dataset=volumes,
        allow_float=("volume",),
    )
    return flatbuffer.read(converted.content)


def test_it_is_masked_and_not_rounded(trained, volumes):
    wrapper = trained.get_layer("volume")
    assert wrapper.quantization is None and trained.get_layer("head").quantization is not None
    (kernel,) = wrapper.kernels
    effective = np.asarray(wrapper.effective_kernel(kernel))
    assert np.mean(effective == 0) == pytest.approx(0.5, abs=0.01)
    stored = np.asarray(wrapper.variable(kernel))
    np.testing.assert_array_equal(effective[effective != 0], stored[effective != 0])


def test_the_file_holds_its_kernel_in_float_with_the_zeros(trained, file):
    (operator,) = [op for op in file.operators if op.name == "CONV_3D"]
    weights = operator.inputs[1]
    assert weights.dtype.is_float
    wrapper = trained.get_layer("volume")
    expected = np.asarray(wrapper.effective_kernel(wrapper.kernels[0]))
    np.testing.assert_array_equal(weights.data, expected)


def test_the_converter_quantizes_no_kernel_of_three_dimensions_by_itself(volumes):
    """The layer type describes what TensorFlow does, not what this package does."""
    model = keras.Sequential([keras.Input((5, 5, 5, 2)), layers.Conv3D(4, 3, name="volume")])
    converted = kc.convert(
        model,
        profile="generic_int8",
        representative_dataset=volumes,
        allow_float=("volume",),
    )
    operators = flatbuffer.read(converted.content).operators
    (weights,) = [op.inputs[1] for op in operators if op.name == "CONV_3D"]
    assert weights.dtype.is_float


def chain():
    keras.utils.set_random_seed(0)
    stack = [
        layers.Conv3D(4, 2, activation="relu", name="first"),
        layers.MaxPooling3D(2),
        layers.Conv3D(6, 2, name="second"),
        layers.GlobalAveragePooling3D(),
        layers.Dense(2, name="head"),
    ]
    return keras.Sequential([keras.Input((5, 5, 5, 2)), *stack])


def test_its_channels_can_be_scaled_on_both_sides(volumes):
    model = chain()
    assert len(channel_links(trace(model))) == 2
    equalized = kc.equalize(model)
    np.testing.assert_allclose(equalized(volumes), model(volumes), atol=1e-5)
    kernels = [np.asarray(m.get_layer("first").kernel) for m in (model, equalized)]
    assert not np.allclose(*kernels)


def test_its_weights_can_be_shared(volumes):
    model = kc.compress(chain(), clustering=kc.Clustering(clusters=4))
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(volumes, np.ones((16, 2)), epochs=2, verbose=0, callbacks=[kc.ClusteringCallback(0)])
    stripped = kc.strip(model)
    kernel = np.asarray(stripped.get_layer("first").kernel)
    assert all(len(np.unique(kernel[..., channel])) <= 4 for channel in range(4))


def test_a_width_for_it_is_refused():
    quantization = kc.Quantization(weight_bits={"first": 4})
    with pytest.raises(InvalidArgumentError, match="Conv3D is in float.*'first'"):
        kc.compress(chain(), quantization=quantization)
