"""Calibration samples in any supported form, as one checked array for each input."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_compress.data.arrangement import arrange
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError

# Ranges that differ by less than this factor are attributed to sampling noise.
_SCALE_FACTOR = 4.0
_FEW_SAMPLES = 10


@dataclasses.dataclass(frozen=True)
class RepresentativeDataset:
    """Calibration samples.

    Args:
        arrays: Input name -> array (n_samples, *shape) of the input's data type.
        warnings: Warnings about the samples, one sentence each.
    """

    arrays: dict[str, np.ndarray]
    warnings: tuple[str, ...] = ()

    def __len__(self):
        return len(next(iter(self.arrays.values())))


def normalize(
    dataset: Samples, inputs: Sequence[InputSpec], calibration_samples: int = 500
) -> RepresentativeDataset:
    """Convert calibration samples to one array for each input.

    Args:
        dataset: Data in any form that `reading.read` accepts. Targets are ignored.
        inputs: `InputSpec` of each input, in the model's order.
        calibration_samples: Largest number of samples to use: evenly spaced ones of an array,
            the first ones of an iterable.

    Returns:
        A `RepresentativeDataset`.

    Raises:
        InvalidArgumentError: There are no samples, or they have a wrong shape or type, NaN or
            infinite values, or the same value everywhere.

    Example:
        >>> from keras_compress.data.input_spec import InputSpec
        >>> data = normalize(np.eye(4, dtype="float32"), [InputSpec("x", (4,))])
        >>> data.arrays["x"].shape
        (4, 4)
    """
    if type(calibration_samples) is not int or calibration_samples < 1:
        raise InvalidArgumentError(
            f"calibration_samples must be a whole number above 0. Received: {calibration_samples!r}"
        )
    if dataset is None or isinstance(dataset, int | float):
        raise InvalidArgumentError(
            "A representative dataset is needed to measure the ranges of activations: an array of "
            "a hundred or more samples as the model receives them in use, or a generator of them. "
            f"Received: representative_dataset={dataset!r}"
        )
    # Data are often sorted by class, so that samples must be evenly spaced.
    x, _ = read(dataset, inputs).inputs_only().spread(calibration_samples)
    arranged = arrange(x, inputs, [spec.name for spec in inputs])
    arrays, warnings = {}, []
    for spec, array in zip(inputs, arranged, strict=True):
        arrays[spec.name] = _clean(array, spec)
        warnings += _warnings(arrays[spec.name], spec)
    _refuse_constant(arrays)
    return RepresentativeDataset(arrays, tuple(warnings))


def _clean(array, spec):
    """Cast to the input's type, and refuse values that are not finite."""
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
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    raise InvalidArgumentError(
        f"The representative dataset must have finite numbers. Received: {array[index]} at index "
        f"{index} of input {spec.name!r} ({int(bad.sum()):,} such values)"
    )


def _refuse_constant(arrays):
    """Refuse the same value everywhere, which would give every activation an empty range."""
    if all(array.size > 1 and array.min() == array.max() for array in arrays.values()):
        values = {name: array.flat[0].item() for name, array in arrays.items()}
        raise InvalidArgumentError(
            "The representative dataset must vary like the data in use, or the ranges of all "
            f"activations will be wrong. Received: the same value everywhere: {values}"
        )


def _warnings(array, spec):
    if len(array) > 1 and (array == array[:1]).all():
        yield f"All samples of input {spec.name!r} are the same: ranges depend on one sample."
    if len(array) < _FEW_SAMPLES:
        yield f"Only {len(array)} samples for calibration: a hundred or more give better ranges."
    if spec.expected_range is not None:
        yield from _other_scale(array, spec)


def _other_scale(array, spec):
    low, high = float(array.min()), float(array.max())
    expected_low, expected_high = spec.expected_range
    span, expected_span = high - low, expected_high - expected_low
    disjoint = low > expected_high or high < expected_low
    if disjoint or not expected_span / _SCALE_FACTOR <= span <= expected_span * _SCALE_FACTOR:
        yield (
            f"Input {spec.name!r}: the representative dataset lies in {low:.6g} .. {high:.6g}, but "
            f"the model was trained on {expected_low:.6g} .. {expected_high:.6g}. Scale it as in "
            "training."
        )
