"""Weights that get narrower in stages: in fit, with AccuracyGuard, and in files."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.tflite import flatbuffer
from tests.fixtures.batches import batches

# These trainings are continued: a first `fit` ends before its schedule.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 6)).astype(np.float32)
Y = RANDOM.normal(size=(32, 3)).astype(np.float32)
STEPS = 4  # batches in an epoch


def compressed(quantizer="abs_max", traced=False):
    keras.utils.set_random_seed(0)
    # One layer: each width is traced anew.
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="relu", name="head")])
    spec = kc.Quantization(weight_bits=3, weight_quantizer=quantizer)
    model = kc.compress(model, quantization=spec)
    options = {"jit_compile": False, "run_eagerly": not traced}
    model.compile("sgd", "mse", metrics=["mae"], **options)
    return model


def fit(model, *callbacks, epochs=1, **options):
    widths = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: widths.append(model.get_layer("head").weight_bits)
    )
    options = {"epochs": epochs, "shuffle": False, "verbose": 0} | options
    model.fit(batches(8, X, Y), callbacks=[*callbacks, watch], **options)
    return widths


def grid(model):
    """The layer's weights in training, in steps of each channel."""
    layer = model.get_layer("head")
    (kernel,) = layer.kernels
    return np.asarray(layer.effective_kernel(kernel)) / np.asarray(layer.scale(kernel))


verify = pytest.mark.verify("traces a step for each width")


@pytest.mark.parametrize(
    ("quantizer", "traced"),
    [
        ("abs_max", True),
        pytest.param("learned_step", False, marks=verify),
        pytest.param("learned_step", True, marks=verify),
    ],
)
def test_the_width_falls_at_its_steps_and_not_below_the_layers_own(quantizer, traced):
    model = compressed(quantizer, traced)
    widths = fit(model, kc.QuantizationCallback(weight_bits={2: 6, 5: 4, 9: 2}), epochs=3)
    assert widths == [6] * 5 + [4] * 4 + [3] * 3
    np.testing.assert_allclose(grid(model), grid(model).round(), atol=1e-4)
    assert np.abs(grid(model)).max() <= 3.001
    model.get_layer("head").set_weight_bits(8)
    model.get_layer("head").set_weight_bits(2)
    assert model.get_layer("head").weight_bits == 3


def test_the_file_holds_the_width_that_training_has_reached():
    model = compressed()
    fit(model, kc.QuantizationCallback(weight_bits={0: 8, 2: 5}))
    content = kc.convert(model).content
    (largest,) = {
        max(
            np.abs(op.inputs[1].data.astype(int)).max() for op in flatbuffer.read(content).operators
        )
    }
    assert largest == 2**4 - 1


def test_a_file_and_a_resumed_training_go_on_at_the_same_width(tmp_path):
    model = compressed()
    fit(model, kc.QuantizationCallback(weight_bits={0: 8, 2: 5, 6: 4}))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("head").weight_bits == 5
    np.testing.assert_allclose(loaded(X), model(X), atol=1e-6)
    assert fit(loaded, kc.QuantizationCallback(weight_bits={0: 8, 2: 5, 6: 4})) == [5, 5, 4, 4]


def test_a_guard_holds_the_width_and_goes_back_to_the_last_good_one():
    model = compressed()
    values = iter([0.0, 9.0, 9.0])
    # The metric is good once and bad from then on.
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(val_mae=next(values))
    )
    guard = kc.AccuracyGuard("val_mae", reference=1.0, tolerance=0.5, patience=1, mode="min")
    narrowing = kc.QuantizationCallback(weight_bits={0: 8, STEPS: 6, 2 * STEPS: 4})
    widths = fit(model, narrowing, told, guard, epochs=3, validation_data=batches(8, X, Y))
    assert widths == [8] * STEPS + [6] * (2 * STEPS), "held at 6 bits while the metric is bad"
    assert model.get_layer("head").weight_bits == 8
    np.testing.assert_allclose(np.abs(grid(model)).max(axis=0), 127, rtol=1e-5)


@pytest.mark.parametrize("widths", [{0: 4, 10: 6}, {0: 1}, {0: 9}, {-1: 4}])
def test_widths_that_cannot_be_are_refused(widths):
    with pytest.raises(InvalidArgumentError, match="Received: .*weight_bits="):
        kc.QuantizationCallback(weight_bits=widths)
