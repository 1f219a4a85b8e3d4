"""Parts of a tensor that are too different for one grid are named by `kc.convert`."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc


def _said(model, samples, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converted = kc.convert(model, representative_dataset=samples, **options)
    own = [w for w in caught if w.category is UserWarning]
    said = [str(w.message) for w in own]
    assert list(converted.warnings) == said
    assert {w.filename for w in own} <= {__file__}
    return said


def _joined(scale):
    first, second = keras.Input((6,), name="state"), keras.Input((2,), name="pressure")
    x = layers.Concatenate(name="joined")([first, second])
    model = keras.Model([first, second], layers.Dense(3, activation="softmax")(x))
    return model, [
        _normal((40, 6)),
        scale * np.random.default_rng(1).uniform(size=(40, 2)).astype("float32"),
    ]


def _columns(scale):
    inputs = keras.Input((2,), name="sensor")
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
    return model, _normal((40, 2)) * np.float32([1, scale])


def _targets(scale):
    inputs = keras.Input((4,))
    dense = layers.Dense(2)
    model = keras.Model(inputs, dense(inputs))
    dense.set_weights([np.ones((4, 2)) * [1, scale], np.zeros(2)])
    return model, _normal((40, 4))


def _detector(scale):
    inputs = keras.Input((4,))
    boxes = layers.Rescaling(scale)(layers.Dense(4, activation="relu")(inputs))
    scores = layers.Dense(2, activation="sigmoid", name="scores")(inputs)
    joined = layers.Concatenate(name="heads")([boxes, scores])
    return keras.Model(inputs, joined), _normal((40, 4))


def _normal(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


KINDS = {
    _joined: ("'joined' joins input 'pressure'", "input 'state'"),
    _columns: ("Column 1 of input 'sensor'", "column 0"),
    _targets: ("Column 1 of output", "column 0"),
    _detector: ("Concatenation 'heads'", "from 'scores'", "separate outputs"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_where_they_differ_and_only_there(kind):
    keras.utils.set_random_seed(0)
    said = " ".join(_said(*kind(1000.0)))
    assert all(part in said for part in KINDS[kind]), said
    assert not _said(*kind(1.0))


def test_each_is_a_sentence_of_bearable_length():
    for sentence in _said(*_joined(1000.0)):
        assert len(sentence) < 600 and "\n" not in sentence


def test_a_float_file_has_no_grids():
    assert not _said(*_columns(1000.0), profile="float32")


def _clipping(columns):
    """Return a network, a compressed copy whose output range is a tenth of what it needs, samples.

    The weights are ones, so that every column is the sum of the inputs.
    """
    inputs = keras.Input((4,))
    dense = layers.Dense(columns, kernel_initializer="ones", name="end")
    plain = keras.Model(inputs, dense(inputs))
    model = kc.compress(plain, quantization="generic_int8")
    samples = np.random.default_rng(1).normal(size=(200, 4)).astype("float32")
    kc.calibrate(model, samples)
    low, high = model.get_layer("end_range").range
    model.get_layer("end_range").set_range(low / 10, high / 10)
    return plain, model, samples


def test_an_output_whose_range_is_too_narrow():
    _, model, samples = _clipping(1)
    said = " ".join(_said(model, samples))
    assert "at an end of its range" in said and "kc.calibrate" in said
    kc.calibrate(model, samples)
    assert not _said(model, samples)


def test_outputs_are_not_clipped_by_default():
    """In training the range of an output holds all that it showed; inside, a moving average."""
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="inside")(inputs)
    model = kc.compress(
        keras.Model(inputs, layers.Reshape((2, 1))(layers.Dense(2, name="end")(x))),
        quantization="generic_int8",
    )
    names = {
        layer.name: type(layer.calibrator).__name__
        for layer in model.layers
        if layer.name.endswith("_range")
    }
    assert names["end_range"] == "MinMax" and names["inside_range"] == "MovingAverage"
    chosen = kc.compress(
        keras.Model(inputs, layers.Dense(2, name="end")(x)),
        quantization=kc.Quantization(calibrator="percentile"),
    )
    assert type(chosen.get_layer("end_range").calibrator).__name__ == "Percentile"


def test_evaluate_shows_what_is_clipped_and_the_error_of_columns():
    plain, model, samples = _clipping(2)
    y = plain.predict(samples, verbose=0)
    low, high = model.get_layer("end_range").range
    beyond = float(np.mean((y < low) | (y > high)))
    converted = kc.convert(model)
    with pytest.warns(UserWarning, match="lie beyond"):
        result = kc.evaluate(converted, samples, y, baseline=plain, latency_runs=0)
    assert result.saturated == pytest.approx(beyond, abs=0.03) and beyond > 0.1
    assert result.to_json()["saturated"] == result.saturated
    assert len(result.outputs[0].columns) == 2
    assert "output clipped" in str(result) and "column 1 RMSE" in str(result)
    assert any("lie beyond" in warning for warning in result.warnings)
