"""Post-training quantization beyond images: audio features, text, tables, by both engines."""

import functools

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import ConversionError
from tests.fixtures.trained import networks

NETWORKS = ["audio_convolutions", "audio_recurrent", "text"]
OTHER_ENGINE = pytest.mark.verify("converts and evaluates each network again, by the other engine")
CONVOLUTIONS = pytest.mark.verify("the whole road again: those of test_modes.py are quick")
BY_ENGINE = [
    pytest.param(name, engine, marks=OTHER_ENGINE if (i + k) % 2 else ())
    for i, name in enumerate(NETWORKS)
    for k, engine in enumerate(("litert", "tensorflow"))
]


@functools.cache
def trained(name):
    return networks.load(name), *networks.TRAININGS[name].data()


@pytest.mark.parametrize(("name", "engine"), BY_ENGINE)
def test_classifiers_keep_their_answers(name, engine):
    model, x, labels = trained(name)
    try:
        converted = kc.convert(model, representative_dataset=x[:100], engine=engine)
    except ConversionError as error:
        # The LiteRT quantizer has no recipe for some operators; the other engine takes them.
        assert engine == "litert" and "computes in float32" in str(error)
        return
    result = kc.evaluate(converted, x, labels, baseline=model, latency_runs=0)
    assert result.baseline.accuracy > 0.9
    assert result.label_agreement >= 0.97


@pytest.mark.filterwarnings("ignore:No quantization is trained inside:UserWarning")
@pytest.mark.parametrize("name", [pytest.param(NETWORKS[0], marks=CONVOLUTIONS), *NETWORKS[1:]])
def test_the_whole_road_calibrates_them(name):
    model, x, labels = trained(name)
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, x[:100], method="min_max")
    names = [layer.name for layer in model.layers]
    # Where ranges inside a layer are not trained, TensorFlow's converter mixes up bias scales.
    engine = "litert" if "memory" in names else "tensorflow"
    converted = kc.convert(compressed, representative_dataset=x[:100], engine=engine)
    assert kc.evaluate(converted, x, labels, baseline=model, latency_runs=0).label_agreement >= 0.97


@pytest.mark.filterwarnings("ignore:Column 5 of input:UserWarning")
@pytest.mark.parametrize("engine", ["tensorflow", pytest.param("litert", marks=OTHER_ENGINE)])
def test_a_table_of_columns_on_scales_of_their_own(engine):
    """Regression with columns from 0.01 to 100: normalised inside the model, in float outside."""
    model, (scaled, y) = networks.load("table"), networks.columns()
    spreads = np.geomspace(0.01, 100, 6)
    x = (scaled * spreads).astype("float32")
    compressed = kc.compress(model, quantization=kc.Quantization())
    kc.calibrate(compressed, scaled[:200], method="min_max")
    converted = kc.convert(compressed, engine=engine)
    result = kc.evaluate(converted, scaled, y, baseline=model, metrics=["mse"])
    assert result.output_error["sqnr_db"] > 30
    # Unscaled, the largest column takes all levels of the one input scale; analysis says so.
    raw = networks.table()
    kernel, *rest = model.get_weights()
    raw.set_weights([kernel / spreads[:, None], *rest])
    poor = kc.convert(raw, representative_dataset=x[:200], engine=engine)
    assert "Column 5 of input" in " ".join(poor.warnings)
    cause = kc.analyze(raw, poor, x[200:264], sensitivity=False).causes[0]
    assert cause.code in ("outlier_channel", "long_tail")
