"""The reader tells forms apart without the libraries that make them."""

import re
import subprocess
import sys

import numpy as np
import pytest

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.errors import InvalidArgumentError

SPEC = [InputSpec("x", (4, 4))]
X = np.random.default_rng(0).normal(size=(10, 4, 4))
Y = np.arange(10)


def test_forms_are_told_without_tensorflow_keras_or_torch():
    code = (
        "import sys, numpy as np\n"
        "from keras_compress.data.input_spec import InputSpec\n"
        "from keras_compress.data.reading import read\n"
        "x = np.ones((4, 2))\n"
        "for data in (x, (x, x[:, 0]), list(x), iter(x), lambda: iter(x)):\n"
        "    assert read(data, [InputSpec('x', (2,))]).whole()[0].shape == (4, 2)\n"
        "print(sorted({'tensorflow', 'keras', 'torch', 'PIL'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "Received: None"),
        (3, "Received: 3"),
        (b"bytes", "an object of type bytes"),
        (object(), "an object of type object"),
        ("data.csv", "must lead to an .npz or .npy file"),
        (lambda: None, "a function that returned NoneType"),
        (lambda: len, "a function that returned builtin_function_or_method"),
    ],
    ids=["None", "number", "bytes", "object", "csv", "function of None", "function of a function"],
)
def test_what_holds_no_samples_is_refused(data, words):
    with pytest.raises(InvalidArgumentError, match=re.escape(words)):
        read(data, SPEC)


def test_a_function_is_called_once():
    calls = []

    def make():
        calls.append(1)
        return X, Y

    x, y = read(make, SPEC).whole()
    assert len(calls) == 1 and x is X and y is Y


def test_a_list_of_two_batches_is_no_pair_and_a_tuple_is_one():
    x, y = read([X, X[:3]], SPEC).whole()
    assert len(x) == 13 and y is None
    x, y = read((X, X), SPEC).whole()
    assert len(x) == 10 and y.shape == X.shape
    x, y = read([X, Y], SPEC).whole()
    assert len(x) == 10 and y is Y


def test_a_tuple_of_samples_is_no_pair():
    x, y = read((X[0], X[1]), SPEC).whole()
    np.testing.assert_array_equal(x, X[:2])
    assert y is None


def test_without_a_model_data_mean_what_fit_takes():
    assert [y.shape for _, y in read((X, Y), None).batches(4)] == [(4,), (4,), (2,)]
    batches = [([X, X], {"a": Y}), ([X, X], {"a": Y})]
    x, y = read(iter(batches), None).first(15)
    assert [len(part) for part in x] == [15, 15] and len(y["a"]) == 15
