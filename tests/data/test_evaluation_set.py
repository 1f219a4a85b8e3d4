import numpy as np
import pytest

from keras_compress.data.evaluation_set import (
    arrange_inputs,
    arrange_targets,
    natural_order,
    read_samples,
)
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.evaluation.runtimes.base import TensorDetails


def details(name, *shape, dtype="int8", scale=0.1, first=1):
    return TensorDetails(name, (1, *map(abs, shape)), (first, *shape), np.dtype(dtype), scale, 0)


IMAGE = details("image", 4, 4, 3)
META = details("meta", 5)
TOKENS = details("tokens", 6, dtype="int32", scale=0.0)
images, meta = np.zeros((7, 4, 4, 3)), np.zeros((7, 5), np.float32)


def test_single_input_in_each_form():
    for x in (images, images.tolist(), [images], {"image": images}):
        [array] = arrange_inputs(x, [IMAGE])
        assert array.shape == (7, 4, 4, 3)


def test_dict_is_taken_by_name_and_list_by_shape():
    for x in ({"meta": meta, "image": images}, [meta, images], (images, meta)):
        arrays = arrange_inputs(x, [IMAGE, META])
        assert [array.shape for array in arrays] == [(7, 4, 4, 3), (7, 5)]


def test_known_order_tells_equal_shapes_apart():
    a, b = np.zeros((3, 5)), np.ones((3, 5))
    first, second = arrange_inputs([b, a], [details("a", 5), details("b", 5)], order=["b", "a"])
    assert first.sum() == 0
    assert second.sum() == 15


def test_equal_shapes_without_names_are_refused():
    with pytest.raises(InvalidArgumentError, match="more than one input.*dict by name"):
        arrange_inputs([meta, meta], [META, details("more", 5)])


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (images[0], r"batch dimension: pass x\[None\]"),
        (np.zeros((7, 4, 4)), r"Received: an array of shape \(7, 4, 4\)\.$"),
        (np.zeros((7, 3, 4, 4)), r"x\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((7, 4, 5, 3)), r"\(n_samples, 4, 4, 3\).*\(7, 4, 5, 3\)"),
        (images[:0], "at least one sample"),
        ([images, images], "takes samples of shape"),
        (np.array(["a"]), "array of numbers. Received: an array of <U1"),
        (iter([1]), "an object of type list_iterator"),
        ([[1, 2], [3]], "Received: a list of length 2"),
        (None, "NoneType"),
        (3.0, "float"),
    ],
)
def test_what_does_not_fit_is_said(x, says):
    with pytest.raises(InvalidArgumentError, match=says):
        arrange_inputs(x, [IMAGE])


def test_missing_last_dimension_is_said():
    with pytest.raises(InvalidArgumentError, match=r"pass x\[\.\.\., None\]"):
        arrange_inputs(np.zeros((7, 4, 4)), [details("image", 4, 4, 1)])


def test_several_inputs_that_do_not_fit():
    pair = [IMAGE, META]
    with pytest.raises(InvalidArgumentError, match="has 2 inputs.*Received: an array"):
        arrange_inputs(images, pair)
    with pytest.raises(InvalidArgumentError, match="Missing: 'meta'"):
        arrange_inputs({"image": images}, pair)
    with pytest.raises(UnknownNameError, match="Did you mean 'meta'"):
        arrange_inputs({"image": images, "mata": meta}, pair)
    with pytest.raises(InvalidArgumentError, match="'image': 7, 'meta': 6"):
        arrange_inputs([images, meta[:6]], pair)
    with pytest.raises(InvalidArgumentError, match="do not fit the inputs"):
        arrange_inputs([images, images], pair)


def test_any_length_is_allowed_where_the_file_has_it():
    [array] = arrange_inputs(np.zeros((2, 9)), [details("text", -1)])
    assert array.shape == (2, 9)


def test_tokens_are_cast_when_they_are_whole():
    [array] = arrange_inputs(np.ones((2, 6)), [TOKENS])
    assert array.dtype == np.int32
    with pytest.raises(InvalidArgumentError, match="whole numbers"):
        arrange_inputs(np.full((2, 6), 0.5), [TOKENS])


def test_targets_in_each_form():
    labels = np.arange(7)
    assert arrange_targets(None, ["a", "b"], 7) == [None, None]
    for y in (labels, labels.tolist(), [labels], {"a": labels}):
        [found] = arrange_targets(y, ["a"], 7)
        np.testing.assert_array_equal(found, labels)
    found = arrange_targets({"b": labels}, ["a", "b"], 7)
    assert found[0] is None
    np.testing.assert_array_equal(found[1], labels)


@pytest.mark.parametrize(
    ("y", "names", "says"),
    [
        (np.zeros(6), ["a"], r"shape \(6,\) for 7 samples"),
        (np.full(7, np.nan), ["a"], r"nan at index \[0\] of y"),
        (np.zeros(7), ["a", "b"], "has 2 outputs"),
        (np.array(["x"] * 7), ["a"], "array of numbers"),
        (np.float32(3), ["a"], r"shape \(\) for 7"),
    ],
)
def test_targets_that_do_not_fit(y, names, says):
    with pytest.raises(InvalidArgumentError, match=says):
        arrange_targets(y, names, 7)


def test_unknown_output_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'kind'"):
        arrange_targets({"kinds": np.zeros(7)}, ["kind", "size"], 7)


def test_natural_order():
    names = ["output_10", "output_9", "a", "output_9b"]
    assert [names[k] for k in natural_order(names)] == ["a", "output_9", "output_9b", "output_10"]


def test_targets_come_with_the_samples_or_alone_and_never_twice():
    labels = np.arange(7)
    stream = zip(images, labels, strict=True)
    for x, y in (((images, labels), None), (images, labels), (stream, None)):
        samples, targets = read_samples(x, y, [IMAGE])
        np.testing.assert_array_equal(samples, images)
        np.testing.assert_array_equal(targets, labels)
    assert read_samples(images, None, [IMAGE])[1] is None
    with pytest.raises(InvalidArgumentError, match="given once"):
        read_samples((images, labels), labels, [IMAGE])


def test_arrays_are_evaluated_without_a_copy():
    samples, _ = read_samples(images, None, [IMAGE])
    assert arrange_inputs(samples, [IMAGE])[0] is images
