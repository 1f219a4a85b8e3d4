"""Calibration samples in whatever form users have them, as checked arrays for each input."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_compress.data.arrangement import arrange
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError

# Ranges that differ by less than this factor are taken for the noise of sampling.
_SCALE_FACTOR = 4.0
_FEW_SAMPLES = 10


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


def normalize(
    dataset: Samples, inputs: Sequence[InputSpec], calibration_samples: int = 500
) -> RepresentativeDataset:
    """Bring calibration samples into one array for each input.

    Args:
        dataset: Data in any form that `reading.read` takes. Targets are left out.
        inputs: `InputSpec` of each input, in the model's order.
        calibration_samples: At most so many samples are used: of an array those at even
            distances, of an iterable the first.

    Returns:
        A `RepresentativeDataset`.

    Raises:
        InvalidArgumentError: No samples, samples of a wrong shape or type, NaN or infinite
            values, or one value everywhere.

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
            "A representative dataset is needed to find the ranges of activations: an array "
            "of a hundred or more samples as the model is fed in use, or a generator of them. "
            f"Received: representative_dataset={dataset!r}"
        )
    # Data are often sorted by class, so samples are taken at even distances.
    x, _ = read(dataset, inputs).inputs_only().spread(calibration_samples)
    arranged = arrange(x, inputs, [spec.name for spec in inputs])
    arrays, warnings = {}, []
    for spec, array in zip(inputs, arranged, strict=True):
        arrays[spec.name] = _clean(array, spec)
        warnings += _oddities(arrays[spec.name], spec)
    _refuse_constant(arrays)
    return RepresentativeDataset(arrays, tuple(warnings))


def _clean(array, spec):
    """Cast to the input's type and refuse what is no finite number."""
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


def _refuse_constant(arrays):
    """One value everywhere gives every activation the range of that one value."""
    if all(array.size > 1 and array.min() == array.max() for array in arrays.values()):
        values = {name: array.flat[0].item() for name, array in arrays.items()}
        raise InvalidArgumentError(
            "The representative dataset must vary as the data in use does, or the ranges of all "
            f"activations come out wrong. Received: the same value everywhere: {values}"
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
