"""Calibration samples in whatever form users have them, as checked arrays for each input."""

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from keras_compress.errors import InvalidArgumentError

# Ranges that differ by less than this factor are taken for the noise of sampling.
_SCALE_FACTOR = 4.0
_FEW_SAMPLES = 10


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """One input of a model.

    Args:
        name: Its name.
        shape: Shape of one sample, without the batch dimension.
        dtype: Name of its data type.
        expected_range: (minimum, maximum) that the model was trained on, where it is known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    expected_range: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class RepresentativeDataset:
    """Calibration samples.

    Args:
        arrays: Input name -> array (n_samples, *shape) of the input's data type.
        warnings: What is odd about the samples, one sentence each.
    """

    arrays: dict[str, np.ndarray]
    warnings: tuple[str, ...] = ()

    def __len__(self):
        return len(next(iter(self.arrays.values())))


def normalize(dataset, inputs, calibration_samples=500):
    """Bring calibration samples into one array for each input.

    Args:
        dataset: An array (n_samples, *shape), a list or dict of arrays (several inputs), a
            generator function or any iterable (also a `tf.data.Dataset`) whose items are
            samples or batches: arrays, tuples or lists with one array for each input, dicts, or
            pairs (x, y) as for `fit`, of which x is taken.
        inputs: `InputSpec` of each input, in the model's order.
        calibration_samples: At most so many samples are used: of an array those at even
            distances, of an iterable the first.

    Returns:
        A `RepresentativeDataset`.

    Raises:
        InvalidArgumentError: No samples, samples of a wrong shape or type, NaN or infinite
            values, or one value everywhere.

    Example:
        >>> data = normalize(np.eye(4, dtype="float32"), [InputSpec("x", (4,))])
        >>> data.arrays["x"].shape
        (4, 4)
    """
    if type(calibration_samples) is not int or calibration_samples < 1:
        raise InvalidArgumentError(
            f"calibration_samples must be a whole number above 0. Received: {calibration_samples!r}"
        )
    _refuse_what_holds_no_samples(dataset)
    if _is_array(dataset):
        whole = _single(inputs, _array(dataset))
    else:
        whole = _whole(dataset, inputs)
    if whole is None:
        arrays = _collect(_items(dataset), inputs, calibration_samples)
    else:
        arrays = _thin(whole, inputs, calibration_samples)
    _check_lengths(arrays)
    warnings = []
    for spec in inputs:
        arrays[spec.name] = _clean(arrays[spec.name], spec)
        warnings += _oddities(arrays[spec.name], spec)
    _refuse_constant(arrays)
    return RepresentativeDataset(arrays, tuple(warnings))


def _refuse_what_holds_no_samples(dataset):
    if isinstance(dataset, str | bytes | os.PathLike):
        raise InvalidArgumentError(
            "The representative dataset must be samples, not the place of a file: load it "
            f"first, with np.load for instance. Received: {dataset!r}"
        )
    if dataset is None or isinstance(dataset, int | float | bool):
        raise InvalidArgumentError(
            "A representative dataset is needed to find the ranges of activations: an array "
            "of a hundred or more samples as the model is fed in use, or a generator of them. "
            f"Received: representative_dataset={dataset!r}"
        )


def _is_array(value):
    return hasattr(value, "__array__") and not isinstance(value, Mapping)


def _single(inputs, array):
    if len(inputs) > 1:
        raise InvalidArgumentError(
            f"The model has {len(inputs)} inputs ({_names(inputs)}): give a list with one array "
            f"for each, or a dict by name. Received: one array of shape {_shape(array)}"
        )
    return {inputs[0].name: array}


def _whole(dataset, inputs):
    """Return name -> array where the dataset holds whole arrays; `None` where it holds items."""
    if isinstance(dataset, Mapping):
        return _by_name(dataset, inputs)
    if not isinstance(dataset, list | tuple) or not dataset:
        return None
    if not all(_is_array(part) for part in dataset) or len(dataset) != len(inputs):
        return None
    arrays = [_array(part) for part in dataset]
    ranks = [len(spec.shape) + 1 for spec in inputs]
    if [array.ndim for array in arrays] != ranks:
        return None
    return dict(zip((spec.name for spec in inputs), arrays, strict=True))


def _by_name(samples, inputs):
    names = [spec.name for spec in inputs]
    if set(samples) != set(names):
        raise InvalidArgumentError(
            f"The model's inputs are {_names(inputs)}. Received: a dict of "
            f"{', '.join(map(repr, samples)) or 'nothing'}"
        )
    return {name: _array(samples[name]) for name in names}


def _items(dataset):
    """Return an iterator over the items of a dataset of any kind."""
    if callable(dataset) and not isinstance(dataset, Iterable):
        dataset = dataset()
        if not isinstance(dataset, Iterable):
            raise InvalidArgumentError(
                "A generator function must yield samples. Received: a function that returned "
                f"{type(dataset).__name__}"
            )
    if hasattr(dataset, "as_numpy_iterator"):
        return dataset.as_numpy_iterator()
    if isinstance(dataset, Iterable | Iterator):
        return iter(dataset)
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return (dataset[position] for position in range(len(dataset)))
    raise InvalidArgumentError(
        "The representative dataset must be an array, a list or dict of arrays, a generator "
        f"function or an iterable of samples. Received: an object of type {type(dataset).__name__}"
    )


def _collect(items, inputs, limit):
    """Gather samples item by item until there are enough."""
    parts = {spec.name: [] for spec in inputs}
    count = 0
    for position, item in enumerate(items):
        sizes = set()
        for spec, array in zip(inputs, _split(item, inputs), strict=True):
            batch = _as_batch(array, spec, position)
            parts[spec.name].append(batch)
            sizes.add(len(batch))
        if len(sizes) > 1:
            raise InvalidArgumentError(
                f"Each input must have the same number of samples. Received: {sorted(sizes)} in "
                f"item {position} of the representative dataset"
            )
        count += sizes.pop()
        if count >= limit:
            break
    if not count:
        raise InvalidArgumentError(
            "The representative dataset must hold at least one sample; an empty one would leave "
            "the file in float without a word. Received: no sample (has the generator been used "
            "up before?)"
        )
    return {name: np.concatenate(batches)[:limit] for name, batches in parts.items()}


def _split(item, inputs):
    """Return one array for each input out of an item of an iterable."""
    if isinstance(item, Mapping):
        return list(_by_name(item, inputs).values())
    if not isinstance(item, list | tuple):
        return list(_single(inputs, _array(item)).values())
    if _is_pair_for_fit(item, inputs):
        return _split(item[0], inputs)
    if len(item) == len(inputs) and all(_is_array(part) for part in item):
        return [_array(part) for part in item]
    if len(inputs) == 1:
        return [_array(item)]
    raise InvalidArgumentError(
        f"Each item of the representative dataset must hold one array for each input "
        f"({_names(inputs)}). Received: {len(item)} parts"
    )


def _is_pair_for_fit(item, inputs):
    """Tell (x, y) and (x, y, weights) from one array for each input."""
    if len(item) not in (2, 3):
        return False
    if isinstance(item[0], list | tuple | Mapping) and len(inputs) > 1:
        return True
    shape = inputs[0].shape
    return len(inputs) == 1 and _is_array(item[0]) and _ends_with(np.shape(item[0]), shape)


def _ends_with(shape, sample):
    return shape == sample or shape[1:] == sample


def _array(value):
    try:
        return np.asarray(value)
    except ValueError:
        raise InvalidArgumentError(
            "Each sample of the representative dataset must be an array. Received: a "
            f"{type(value).__name__} whose parts differ in shape"
        ) from None


def _as_batch(array, spec, position):
    shape = tuple(array.shape)
    if shape == spec.shape:
        return array[None]
    if shape[1:] == spec.shape and array.ndim == len(spec.shape) + 1:
        return array
    raise _wrong_shape(spec, shape, f"in item {position} of the representative dataset")


def _thin(arrays, inputs, limit):
    """Take samples at even distances: data is often sorted by class."""
    thinned = {}
    for spec in inputs:
        array = arrays[spec.name]
        if tuple(array.shape[1:]) != spec.shape or array.ndim != len(spec.shape) + 1:
            raise _wrong_shape(spec, tuple(array.shape), "as representative dataset")
        if not len(array):
            raise InvalidArgumentError(
                "The representative dataset must hold at least one sample. "
                f"Received: an array of shape {_shape(array)} for input {spec.name!r}"
            )
        thinned[spec.name] = array
    _check_lengths(thinned)
    total = len(next(iter(thinned.values())))
    chosen = np.linspace(0, total - 1, min(limit, total)).round().astype(int)
    return {name: array[chosen] for name, array in thinned.items()}


def _wrong_shape(spec, shape, origin):
    wanted = ("n_samples", *spec.shape)
    hint = ""
    if shape == spec.shape:
        hint = " The first dimension counts samples: write x[None] for a single one."
    elif shape[1:] == (1, *spec.shape):
        hint = " There is one dimension too many: write x[:, 0]."
    elif (*shape, 1)[1:] == spec.shape:
        hint = " The channel is missing: write x[..., None]."
    elif len(shape) > 1 and math.prod(shape[1:]) == math.prod(spec.shape):
        hint = f" The number of values fits: write x.reshape({_join((-1, *spec.shape))})."
    return InvalidArgumentError(
        f"Input {spec.name!r} takes samples of shape ({_join(wanted)}). "
        f"Received: ({_join(shape)}) {origin}.{hint}"
    )


def _check_lengths(arrays):
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidArgumentError(
            f"Each input must have the same number of samples. Received: {lengths}"
        )


def _clean(array, spec):
    """Cast to the input's type and refuse what is no finite number."""
    if array.dtype.kind not in "fiub":
        # Floats that numpy does not know (bfloat16) tell so by what they turn into.
        array = _to_float(array, spec)
    _refuse_infinite(array, spec)
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array, dtype=spec.dtype)
    _refuse_infinite(cast, spec)
    if cast.dtype.kind in "iub" and not (cast == array).all():
        raise InvalidArgumentError(
            f"Input {spec.name!r} takes whole numbers of type {spec.dtype}. "
            f"Received: values of type {array.dtype} that it cannot hold"
        )
    return cast


def _refuse_infinite(array, spec):
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    bad = ~np.isfinite(array)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    raise InvalidArgumentError(
        f"The representative dataset must hold finite numbers. Received: {array[place]} at index "
        f"{place} of input {spec.name!r} ({int(bad.sum()):,} such values)"
    )


def _to_float(array, spec):
    try:
        if array.dtype.kind in "OSUcmM":
            raise TypeError(array.dtype)
        return array.astype(np.float32)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"Input {spec.name!r} takes numbers of type {spec.dtype}. "
            f"Received: an array of type {array.dtype} in the representative dataset"
        ) from None


def _refuse_constant(arrays):
    """One value everywhere gives every activation the range of that one value."""
    if all(array.size > 1 and array.min() == array.max() for array in arrays.values()):
        found = {name: array.flat[0].item() for name, array in arrays.items()}
        raise InvalidArgumentError(
            "The representative dataset must vary as the data in use does, or the ranges of all "
            f"activations come out wrong. Received: the same value everywhere: {found}"
        )


def _oddities(array, spec):
    if len(array) > 1 and (array == array[:1]).all():
        yield f"All samples of input {spec.name!r} are the same: ranges rest on one sample."
    if len(array) < _FEW_SAMPLES:
        yield f"Only {len(array)} samples for calibration: a hundred or more give steadier ranges."
    if spec.expected_range is not None:
        yield from _other_scale(array, spec)


def _other_scale(array, spec):
    low, high = float(array.min()), float(array.max())
    expected_low, expected_high = spec.expected_range
    span, expected_span = high - low, expected_high - expected_low
    apart = low > expected_high or high < expected_low
    if apart or not expected_span / _SCALE_FACTOR <= span <= expected_span * _SCALE_FACTOR:
        yield (
            f"Input {spec.name!r}: the representative dataset lies in {low:.6g} .. {high:.6g}, and "
            f"the model was trained on {expected_low:.6g} .. {expected_high:.6g}. Scale it as in "
            "training."
        )


def _names(inputs: Sequence[InputSpec]):
    return ", ".join(repr(spec.name) for spec in inputs)


def _shape(array):
    return f"({_join(array.shape)})"


def _join(shape):
    return ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
