import dataclasses
import json

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.errors import InvalidArgumentError

ONE_BATCH = 16
SAMPLES = 2 * ONE_BATCH


@pytest.fixture(scope="module")
def sound(network, images):
    converted = kc.convert(network, representative_dataset=images[:200])
    options = {"samples": SAMPLES, "sensitivity": False}
    return converted, kc.analyze(network, converted, images[1200:], **options)


@pytest.fixture(scope="module")
def narrow(network, images):
    """The analysis of a simulation of which one layer is rounded to 2 bits."""
    quantization = kc.Quantization(
        weight_bits={"pointwise": 2}, calibrator="min_max", activation_bits=8
    )
    simulated = kc.calibrate(kc.compress(network, quantization=quantization), images[:200])
    return kc.analyze(network, None, images[1200:], simulated=simulated, samples=ONE_BATCH)


def _first(model, converted, images, **kwargs):
    options = {"samples": ONE_BATCH, "sensitivity": False, **kwargs}
    return kc.analyze(model, converted, images[1200:], **options).causes[0]


def test_a_sound_file_is_not_accused(sound):
    _, analysis = sound
    assert not [cause for cause in analysis.causes if cause.bits_lost > 4]
    assert analysis.output_mse["file"] < 1e-3


def test_one_channel_scaled_by_100_comes_first(with_an_outlier, images):
    model, channel = with_an_outlier
    converted = kc.convert(model, representative_dataset=images[:200])
    cause = _first(model, converted, images)
    assert (cause.code, cause.layer) == ("outlier_channel", "pointwise")
    assert f"channel {channel}" in cause.message and "equalization" in cause.remedy


def test_a_depthwise_layer_forced_per_tensor_comes_first(network, images):
    """Planted in the layer alone: its channels are spread as folding may leave them."""
    import keras

    model = keras.models.clone_model(network)
    model.set_weights(network.get_weights())
    gamma, *rest = model.get_layer("depthwise_bn").get_weights()
    model.get_layer("depthwise_bn").set_weights([gamma * np.geomspace(0.05, 3, 12), *rest])
    quantization = kc.Quantization(per_channel=False, calibrator="min_max")
    simulated = kc.calibrate(kc.compress(model, quantization=quantization), images[:200])
    cause = _first(model, kc.convert(simulated), images, simulated=simulated)
    assert (cause.code, cause.layer) == ("per_tensor_weights", "depthwise")
    assert "depthwise kernel" in cause.message and "per_channel=True" in cause.remedy


@pytest.mark.verify("analyzes one more file")
def test_calibration_data_of_another_scale_comes_first(network, images):
    converted = kc.convert(network, representative_dataset=images[:200] * 255)
    cause = _first(network, converted, images)
    assert (cause.code, cause.layer) == ("calibration_mismatch", "image")
    assert cause.bits_lost == pytest.approx(8, abs=0.1)
    assert "to 255" in cause.message


@pytest.mark.verify("converts once more for the other direction of the scale")
def test_data_of_another_scale_than_the_calibration_comes_first(network, images):
    converted = kc.convert(network, representative_dataset=images[:200] / 16)
    assert _first(network, converted, images).code == "calibration_mismatch"


@pytest.mark.verify("analyzes one more file")
def test_a_range_that_clips_is_named(network, images):
    """Against a range set by hand to a quarter of what the layer gives."""
    simulated = kc.calibrate(
        kc.compress(network, quantization=kc.Quantization(calibrator="min_max")), images[:200]
    )
    ranged = simulated.get_layer("stem_relu_range")
    ranged.set_range(0.0, ranged.range[1] / 4)
    options = {"simulated": simulated, "samples": ONE_BATCH, "sensitivity": False}
    found = kc.analyze(network, None, images[1200:], **options)
    worst = max((c for c in found.causes if c.code == "saturation"), key=lambda c: c.bits_lost)
    assert worst.layer == "stem" and worst.source == QuantizedForm.SIMULATED


def test_rows_are_those_of_numpy(sound, network, images):
    """The output's error, computed here from LiteRT's own answers."""
    converted, analysis = sound
    x = images[1200:][_spaced(len(images) - 1200, SAMPLES)]
    wanted = np.asarray(network(x))
    result = kc.evaluate(converted, x, wanted, baseline=network, metrics=["mse"])
    row = analysis.of(QuantizedForm.FILE)["probs_activation"]
    assert row.mse == pytest.approx(result.output_error["mse"], rel=0.2)
    assert row.rmse == pytest.approx(row.mse**0.5)
    assert analysis.output_mse["file"] == pytest.approx(row.mse, rel=1e-6)


def _spaced(count, samples):
    return np.linspace(0, count - 1, samples).round().astype(int)


def test_each_layer_has_its_rows(sound):
    _, analysis = sound
    layers = ["image", "stem", "depthwise", "pointwise", "average", "hidden", "probs"]
    for source in QuantizedForm:
        assert list(analysis.of(source)) == [*layers, "probs_activation"]
        kernels = analysis.of(source, "weights")
        assert set(kernels) == {"stem", "depthwise", "pointwise", "hidden", "probs"}
        assert all(row.sqnr_db > 35 for row in kernels.values())
    weights = analysis.of(QuantizedForm.FILE, "weights")
    assert weights["depthwise"].scales == 12


def test_sensitivity_of_one_layer_is_found(narrow):
    """One layer at 2 bits is the one that matters, alone and left out."""
    worst, second, *_ = narrow.sensitivity
    assert worst.layer == "pointwise" and worst.alone_mse > 10 * second.alone_mse
    assert worst.gain > 0.9
    assert narrow.causes[0].code == "narrow_weights" and narrow.causes[0].layer == "pointwise"


def test_it_is_shown_and_saved(sound, narrow, tmp_path):
    converted, analysis = sound
    analysis = dataclasses.replace(analysis, sensitivity=narrow.sensitivity)
    text = str(analysis)
    assert "pointwise" in text and "builtin kernels" in text
    assert "<svg" in analysis._repr_html_()
    found = json.loads(json.dumps(analysis.to_json()))
    assert len(found["rows"]) == len(analysis.rows)
    nodes = json.loads(analysis.save_model_explorer(tmp_path / "nodes.json").read_text())
    names = {tensor["name"] for tensor in converted.inspect().to_json()["tensors"]}
    assert set(nodes["main"]["results"]) <= names and len(nodes["main"]["results"]) >= 7


def test_bad_arguments(network, images):
    with pytest.raises(InvalidArgumentError, match="is needed"):
        kc.analyze(network, None, None)
    with pytest.raises(InvalidArgumentError, match="kc.compress returned"):
        kc.analyze(network, None, images[:8], simulated=network)
