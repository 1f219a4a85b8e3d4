"""Metrics against scikit-learn's and Keras' own."""

import math

import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.evaluation import error_measures
from keras_compress.evaluation.metric_choice import choose_metrics, score
from keras_compress.evaluation.metrics.accuracy import Accuracy
from keras_compress.evaluation.metrics.mae import MAE
from keras_compress.evaluation.metrics.mse import MSE
from keras_compress.evaluation.metrics.rmse import RMSE
from keras_compress.evaluation.metrics.top_k_accuracy import TopKAccuracy

RANDOM = np.random.default_rng(1)
SCORES = RANDOM.random((60, 7)).astype(np.float32)
LABELS = RANDOM.integers(0, 7, 60)


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], np.eye(7)[LABELS], LABELS * 1.0])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k_accuracy_is_scikit_learns(labels, k):
    from sklearn.metrics import top_k_accuracy_score

    wanted = top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(7))
    assert TopKAccuracy(k)(labels, SCORES) == pytest.approx(wanted)
    if k == 1:
        assert Accuracy()(labels, SCORES) == pytest.approx(wanted)


def test_top_1_is_accuracy_also_with_ties():
    coarse = np.round(SCORES * 2) / 2
    assert TopKAccuracy(1)(LABELS, coarse) == Accuracy()(LABELS, coarse)


@pytest.mark.parametrize(
    ("outputs", "wanted"),
    [([[0.4], [0.6], [0.5]], 1), ([[-3.0], [2.0], [0.4]], 2 / 3), ([0.4, 0.6, 0.9], 2 / 3)],
)
def test_one_output_is_the_binary_case(outputs, wanted):
    assert Accuracy()(np.array([0, 1, 0]), np.array(outputs)) == pytest.approx(wanted)


def test_binary_of_plain_vectors():
    assert Accuracy()(np.array([[0], [1]]), np.array([[0.2], [0.7]])) == 1.0


def test_labels_per_pixel():
    outputs = RANDOM.random((5, 4, 4, 3))
    labels = outputs.argmax(-1)
    labels[0, 0, 0] = (labels[0, 0, 0] + 1) % 3
    assert Accuracy()(labels, outputs) == pytest.approx(1 - 1 / 80)


def test_integer_outputs_are_labels():
    assert Accuracy()(np.array([3, 1, 2]), np.array([3, 1, 0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("labels", [[0, 7, 1], [-1, 0, 0], [0.5, 1, 1]])
def test_labels_that_no_class_has_are_refused(labels):
    with pytest.raises(InvalidArgumentError, match="Received"):
        Accuracy()(np.array(labels), SCORES[:3])


def test_regression_metrics_are_scikit_learns():
    from sklearn import metrics

    y_true, y_pred = RANDOM.normal(size=(40, 3)), RANDOM.normal(size=(40, 3))
    assert MSE()(y_true, y_pred) == pytest.approx(metrics.mean_squared_error(y_true, y_pred))
    assert MAE()(y_true, y_pred) == pytest.approx(metrics.mean_absolute_error(y_true, y_pred))
    assert RMSE()(y_true, y_pred) == pytest.approx(math.sqrt(MSE()(y_true, y_pred)))


def test_a_column_and_a_vector_are_compared_entry_by_entry():
    assert MSE()(np.array([1.0, 2.0]), np.array([[1.0], [2.0]])) == 0.0


def test_other_shapes_are_refused():
    with pytest.raises(InvalidArgumentError, match=r"\[60, 7\] against \[60, 6\]"):
        MSE()(SCORES[:, :6], SCORES)


@pytest.mark.parametrize("bits", [6, 8, 10])
def test_sqnr_of_uniform_noise_follows_the_six_decibel_rule(bits):
    """A full-scale uniform signal through a uniform quantizer: 6.02 dB per bit."""
    signal = np.random.default_rng(2).uniform(-1, 1, 200_000)
    step = 2 / 2**bits
    quantized = (np.floor(signal / step) + 0.5) * step
    assert error_measures.sqnr_db(signal, quantized) == pytest.approx(6.0206 * bits, abs=0.05)


def test_sqnr_of_equal_outputs_is_none():
    assert error_measures.output_error(SCORES, SCORES)["sqnr_db"] is None
    assert error_measures.sqnr_db(np.zeros(3), np.ones(3)) is None


@pytest.mark.parametrize(
    ("targets", "outputs", "names"),
    [
        (LABELS, SCORES, ["accuracy"]),
        (np.eye(7)[LABELS], SCORES, ["accuracy"]),
        (RANDOM.normal(size=(60, 7)), SCORES, ["mse"]),
        (RANDOM.normal(size=60), SCORES[:, :1], ["mse"]),
        (LABELS, SCORES[:, :1], ["mse"]),
        (LABELS % 2, SCORES[:, :1], ["accuracy"]),
        (RANDOM.integers(0, 2, (60, 7)), SCORES, ["mse"]),
    ],
)
def test_metric_follows_the_targets(targets, outputs, names):
    chosen, why = choose_metrics(None, {"out": targets}, {"out": outputs})
    assert list(chosen["out"]) == names
    assert why.startswith("The targets are")


def test_metrics_in_each_form():
    def share_above_half(y_true, y_pred):
        return (y_pred > 0.5).mean()

    targets, outputs = {"out": LABELS}, {"out": SCORES}
    asked = ["top_3_accuracy", MAE(), share_above_half]
    chosen, why = choose_metrics(asked, targets, outputs)
    assert list(chosen["out"]) == ["top_3_accuracy", "mae", "share_above_half"]
    assert chosen["out"]["top_3_accuracy"] == TopKAccuracy(3)
    assert "asked for" in why
    assert list(choose_metrics({"mine": "mae"}, targets, outputs)[0]["out"]) == ["mine"]
    assert list(choose_metrics("rmse", targets, outputs)[0]["out"]) == ["rmse"]


def test_metrics_per_output():
    targets = {"kind": LABELS, "size": LABELS * 1.5, "free": None}
    outputs = {"kind": SCORES, "size": SCORES[:, :1], "free": SCORES}
    guessed, why = choose_metrics(None, targets, outputs)
    assert {name: list(found) for name, found in guessed.items()} == {
        "kind": ["accuracy"],
        "size": ["mse"],
        "free": [],
    }
    assert "output 'size'" in why.lower()
    asked, _ = choose_metrics({"kind": "top_2_accuracy", "size": ["mae"]}, targets, outputs)
    assert {name: list(found) for name, found in asked.items()} == {
        "kind": ["top_2_accuracy"],
        "size": ["mae"],
        "free": [],
    }


def test_errors_of_metrics():
    targets, outputs = {"out": LABELS}, {"out": SCORES}
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        choose_metrics("acuracy", targets, outputs)
    with pytest.raises(InvalidArgumentError, match="Received: 3"):
        choose_metrics(3, targets, outputs)
    with pytest.raises(InvalidArgumentError, match="pass y"):
        choose_metrics("mse", {"out": None}, outputs)
    with pytest.raises(InvalidArgumentError, match="k=0"):
        TopKAccuracy(0)
    with pytest.raises(InvalidArgumentError, match="finite number. Received: nan from 'mine'"):
        score(lambda y_true, y_pred: math.nan, "mine", LABELS, SCORES)
    with pytest.raises(InvalidArgumentError, match="'words' from 'mine'"):
        score(lambda y_true, y_pred: "words", "mine", LABELS, SCORES)
