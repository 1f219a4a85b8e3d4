import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.post_training.observers import HistogramObserver
from keras_compress.quantization.calibrators.mse import Mse
from keras_compress.quantization.histogram import histogram
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer

METHODS = ("min_max", "moving_average", "percentile", "entropy", "mse", "octav")


@pytest.fixture(scope="module")
def compressed():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(5)(x)
    return kc.compress(keras.Model(inputs, outputs), quantization=kc.Quantization())


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(70, 8, 8, 3)).astype("float32")


def _ranges(model):
    quantizers = [layer for layer in model.layers if isinstance(layer, ActivationQuantizer)]
    return {quantizer.name: quantizer.range for quantizer in quantizers}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_sets_every_range(compressed, samples, method):
    kc.calibrate(compressed, samples, batch_size=32, method=method)
    for minimum, maximum in _ranges(compressed).values():
        assert minimum < maximum
    output = compressed(samples)
    assert len(np.unique(np.asarray(output))) <= 256


def test_min_max_finds_the_extremes(compressed, samples):
    kc.calibrate(compressed, samples, batch_size=16, method="min_max")
    first = next(iter(_ranges(compressed).values()))
    assert first == (samples.min(), samples.max())


def test_the_range_of_the_input_does_not_depend_on_the_batches(compressed, samples):
    kc.calibrate(compressed, samples, batch_size=7, method="mse")
    one = next(iter(_ranges(compressed).values()))
    kc.calibrate(compressed, iter([samples[:50], samples[50:]]), method="mse")
    assert next(iter(_ranges(compressed).values())) == pytest.approx(one, rel=1e-6)


def test_batches_after_the_first_few_are_traced_and_count_the_same(compressed, samples):
    kc.calibrate(compressed, samples, batch_size=7, method="min_max")
    traced = _ranges(compressed)
    kc.calibrate(compressed, samples, batch_size=35, method="min_max")
    assert _ranges(compressed) == {k: pytest.approx(v, rel=1e-5) for k, v in traced.items()}


def test_per_batch_takes_the_mean_of_the_batches(compressed, samples):
    kc.calibrate(compressed, samples[:64], batch_size=32, method="min_max", per_batch=True)
    expected = (samples[:32].max() + samples[32:64].max()) / 2
    assert next(iter(_ranges(compressed).values()))[1] == pytest.approx(expected)


def test_streamed_histogram_is_that_of_all_values():
    values = np.random.default_rng(1).normal(size=(40, 64)).astype("float32")
    values *= np.linspace(0.1, 30, 40, dtype="float32")[:, None]
    observer = HistogramObserver(Mse(), batch_size=4)
    for start in range(0, 40, 4):
        observer.observe(keras.ops.convert_to_tensor(values[start : start + 4]))
    actual = observer.histogram()
    assert actual.counts.sum() == values.size
    assert (actual.minimum, actual.maximum) == (values.min(), values.max())
    expected, _ = np.histogram(values, len(actual.counts), (-actual.limit, actual.limit))
    assert np.abs(np.cumsum(actual.counts) - np.cumsum(expected)).max() <= 2


def test_histogram_error_is_that_of_rounding():
    values = np.random.default_rng(2).normal(size=20_000)
    for minimum, maximum, bits in ((-2.0, 3.0, 8), (-1.0, 1.0, 4), (-3.0, 4.0, 3)):
        step = (maximum - minimum) / (2**bits - 1)
        zero = np.round(-minimum / step)
        rounded = (np.clip(np.round(values / step) + zero, 0, 2**bits - 1) - zero) * step
        expected = np.mean((rounded - values) ** 2)
        error = histogram(values).error(minimum, maximum, bits)
        assert error == pytest.approx(expected, rel=0.05)


def test_refuses_what_cannot_be_calibrated(compressed, samples):
    with pytest.raises(InvalidArgumentError, match="kc.compress"):
        kc.calibrate(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), samples)
    with pytest.raises(InvalidArgumentError, match="not finite"):
        kc.calibrate(compressed, np.full((4, 8, 8, 3), np.nan, "float32"), method="mse")
    with pytest.raises(InvalidArgumentError, match="no data"):
        kc.calibrate(compressed, iter([]))
    with pytest.raises(InvalidArgumentError, match="shape"):
        kc.calibrate(compressed, samples[:, :4])
    with pytest.raises(UnknownNameError, match="entropy"):
        kc.calibrate(compressed, samples, method="entrop")


def test_fit_refuses_a_calibrator_that_learns_nothing_in_it():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model = kc.compress(model, quantization=kc.Quantization(calibrator="entropy"))
    model.compile("sgd", "mse", jit_compile=False)
    data = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    with pytest.raises(InvalidArgumentError, match="kc.calibrate"):
        model.fit(*data, verbose=0, callbacks=[kc.QuantizationCallback()])
    kc.calibrate(model, data[0])
    before = _ranges(model)
    model.fit(*data, verbose=0, callbacks=[kc.QuantizationCallback()])
    assert _ranges(model) == before


def test_converts_without_fit(compressed, samples):
    kc.calibrate(compressed, samples, method="min_max")
    converted = kc.convert(compressed)
    result = kc.evaluate(converted, samples, np.zeros(70, int), baseline=compressed)
    assert result.label_agreement >= 0.98
