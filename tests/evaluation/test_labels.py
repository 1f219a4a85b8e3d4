"""Labels are recognized whatever their type, and quantities stay quantities."""

import numpy as np
import pytest

from keras_compress.evaluation import labels

RANDOM = np.random.default_rng(2)
SCORES = RANDOM.normal(size=(30, 4))  # of four classes
PROBABILITIES = RANDOM.random((30, 1))
CLASSES = RANDOM.integers(0, 4, 30)
BINARY = RANDOM.integers(0, 2, 30)
PIXELS = RANDOM.normal(size=(3, 5, 5, 4))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        (CLASSES, SCORES),
        (CLASSES[:, None], SCORES),
        (BINARY, PROBABILITIES),
        (BINARY[:, None], PROBABILITIES),
        (BINARY, PROBABILITIES[:, 0]),
        (RANDOM.integers(0, 4, (3, 5, 5)), PIXELS),
        (RANDOM.integers(0, 4, (3, 5, 5, 1)), PIXELS),
    ],
)
def test_labels_that_came_as_floats_are_labels(targets, outputs, kind):
    found = labels.from_floats(targets.astype(kind), outputs)
    np.testing.assert_array_equal(found, targets)
    assert found.dtype.kind == "i" and labels.are_labels(found, outputs)


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        (CLASSES + 0.5, SCORES),
        (CLASSES + 1.0, SCORES),  # up to 4, which is no class
        (np.round(SCORES), SCORES),  # a quantity for each output
        (BINARY * 1.0, PROBABILITIES * 3 - 1),  # no probabilities
        (BINARY * 2.0, PROBABILITIES),
        (np.full(30, np.nan), SCORES),
        (np.zeros((0,)), np.zeros((0, 4))),
    ],
)
def test_quantities_stay_as_they_are(targets, outputs):
    assert labels.from_floats(targets, outputs) is targets
