import re

import numpy as np
import pytest

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.representative_dataset import normalize
from keras_compress.errors import InvalidArgumentError

IMAGE = [InputSpec("image", (4, 4, 1))]
TWO = [InputSpec("a", (3,)), InputSpec("b", (2,))]
X = np.random.default_rng(0).normal(size=(20, 4, 4, 1)).astype(np.float32)
A = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
B = np.random.default_rng(2).normal(size=(20, 2)).astype(np.float32)


class _Sequence:
    """The shape of keras.utils.PyDataset."""

    def __len__(self):
        return 5

    def __getitem__(self, position):
        return X[4 * position : 4 * position + 4], np.zeros(4)


class _NotNumpy:
    """An array of another library."""

    def __array__(self, dtype=None, copy=None):
        return X


@pytest.mark.parametrize(
    "dataset",
    [
        X,
        X.astype(np.float64),
        _NotNumpy(),
        [X],
        {"image": X},
        list(X),
        [x[None] for x in X],
        X.tolist(),
        lambda: iter(X),
        lambda: ([x[None]] for x in X),
        lambda: ({"image": x} for x in X),
        lambda: ((x, 1) for x in X),
        lambda: (X[i : i + 8] for i in (0, 8, 16)),
        lambda: ([X[i : i + 8], np.zeros(8)] for i in (0, 8, 16)),
        (x for x in X),
        _Sequence(),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_forms_of_one_input(dataset):
    result = normalize(dataset, IMAGE)
    np.testing.assert_array_equal(result.arrays["image"], X)
    assert result.arrays["image"].dtype == np.float32
    assert len(result) == 20 and result.warnings == ()


@pytest.mark.parametrize(
    "dataset",
    [
        [A, B],
        (A, B),
        {"b": B, "a": A},
        lambda: ([a, b] for a, b in zip(A, B, strict=True)),
        lambda: ((a[None], b[None]) for a, b in zip(A, B, strict=True)),
        lambda: ({"b": b, "a": a} for a, b in zip(A, B, strict=True)),
        lambda: (({"b": b, "a": a}, 0) for a, b in zip(A, B, strict=True)),
        lambda: (((a, b), 0) for a, b in zip(A, B, strict=True)),
        lambda: iter([(A[:12], B[:12]), (A[12:], B[12:])]),
    ],
)
def test_forms_of_two_inputs(dataset):
    arrays = normalize(dataset, TWO).arrays
    np.testing.assert_array_equal(arrays["a"], A)
    np.testing.assert_array_equal(arrays["b"], B)


def test_tf_data():
    import tensorflow as tf

    batched = tf.data.Dataset.from_tensor_slices((X, np.arange(20))).batch(7)
    np.testing.assert_array_equal(normalize(batched, IMAGE).arrays["image"], X)
    endless = tf.data.Dataset.from_tensor_slices({"a": A, "b": B}).repeat()
    assert len(normalize(endless, TWO, calibration_samples=33)) == 33
    np.testing.assert_array_equal(normalize(tf.constant(X), IMAGE).arrays["image"], X)


def test_at_most_the_samples_asked_for():
    thinned = normalize(X, IMAGE, calibration_samples=5).arrays["image"]
    # Even distances from the first sample to the last: data is often sorted by class.
    np.testing.assert_array_equal(thinned, X[[0, 5, 10, 14, 19]])
    assert len(normalize(X, IMAGE, calibration_samples=500)) == 20
    batches = normalize(lambda: (X[i : i + 8] for i in (0, 8, 16)), IMAGE, calibration_samples=10)
    np.testing.assert_array_equal(batches.arrays["image"], X[:10])


def test_an_endless_generator_is_read_only_as_far_as_needed():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield X[len(taken) % 20]

    assert len(normalize(endless, IMAGE, calibration_samples=30)) == 30
    assert len(taken) == 30


def test_whole_numbers_stay_whole():
    spec = [InputSpec("tokens", (3,), "int32")]
    tokens = normalize(np.arange(30.0).reshape(10, 3), spec).arrays["tokens"]
    assert tokens.dtype == np.int32
    with pytest.raises(InvalidArgumentError, match="whole numbers of type int32"):
        normalize(np.full((10, 3), 0.5) * np.arange(3), spec)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (None, "is needed"),
        ("missing.npz", "No such file"),
        ("data.csv", "must lead to an .npz or .npy file"),
        (b"data", "an object of type bytes"),
        (3, "is needed"),
        (object(), "an object of type object"),
        (X[0], "pass x[None]"),
        (X[:, None], "one dimension too many"),
        (X[..., 0], "pass x[..., None]"),
        (X.reshape(20, 16), "pass x.reshape(-1, 4, 4, 1)"),
        (
            np.zeros((20, 5, 5, 1)),
            "(n_samples, 4, 4, 1). Received: an array of shape (20, 5, 5, 1)",
        ),
        (X[:0], "at least one sample"),
        ([], "at least one sample"),
        (lambda: iter(()), "at least one sample"),
        (lambda: None, "must yield samples"),
        (lambda: iter([np.zeros((5, 5, 1))]), "in item 0"),
        (lambda: iter([X[0], X[0][..., 0]]), "in item 1"),
        (lambda: iter([[[1.0], [1.0, 2.0]]]), "differ in shape"),
        (np.where(np.arange(20).reshape(20, 1, 1, 1) == 3, np.nan, X), "(3, 0, 0, 0)"),
        (np.where(np.arange(20).reshape(20, 1, 1, 1) == 3, 1e300, X.astype(np.float64)), "finite"),
        (np.full((20, 4, 4, 1), 7.0), "the same value everywhere: {'image': 7.0}"),
        (np.full((20, 4, 4, 1), "x"), "must be an array of numbers"),
        ({"picture": X}, "Unknown input. Known: image"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_samples_are_named(dataset, words):
    with pytest.raises(InvalidArgumentError, match=re.escape(words)) as caught:
        normalize(dataset, IMAGE)
    assert "Received" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (A, "with an array for each"),
        ([A, B[:3]], "same number of samples"),
        ({"a": A}, "Missing: 'b'"),
        ([B, A], "'a' takes samples of shape (n_samples, 3). Received: an array of shape (20, 2)"),
        (lambda: iter([[A[0]]]), "one array for each input"),
        (lambda: iter([[A[:2], B[:3]]]), "[2, 3] in item 0"),
    ],
)
def test_bad_samples_of_two_inputs_are_named(dataset, words):
    with pytest.raises(InvalidArgumentError, match=re.escape(words)):
        normalize(dataset, TWO)


@pytest.mark.parametrize("count", [0, -1, 2.5, "many"])
def test_calibration_samples_must_be_a_count(count):
    with pytest.raises(InvalidArgumentError, match="calibration_samples"):
        normalize(X, IMAGE, calibration_samples=count)


def test_a_used_up_generator_is_empty():
    generator = (x for x in X)
    list(generator)
    with pytest.raises(InvalidArgumentError, match="already consumed"):
        normalize(generator, IMAGE)


@pytest.mark.parametrize(
    ("data", "expected", "warned"),
    [
        (X * 255, (-3, 3), True),
        (X / 255, (-3, 3), True),
        (X + 100, (-3, 3), True),
        (X, (-3, 3), False),
        (X * 2, (-3, 3), False),
        (X, None, False),
    ],
)
def test_another_scale_than_in_training_is_warned_of(data, expected, warned):
    spec = [InputSpec("image", (4, 4, 1), expected_range=expected)]
    warnings = normalize(data, spec).warnings
    assert bool(warnings) is warned
    if warned:
        assert "Scale it as in training" in warnings[0] and "-3 .. 3" in warnings[0]


def test_few_and_equal_samples_are_warned_of():
    assert "Only 3 samples" in normalize(X[:3], IMAGE).warnings[0]
    assert "are the same" in normalize(np.repeat(X[:1], 20, 0), IMAGE).warnings[0]


def test_one_constant_input_among_several_is_accepted():
    arrays = normalize([A, np.ones_like(B)], TWO).arrays
    assert (arrays["b"] == 1).all()
    with pytest.raises(InvalidArgumentError, match="same value everywhere"):
        normalize([np.ones_like(A), np.ones_like(B)], TWO)
