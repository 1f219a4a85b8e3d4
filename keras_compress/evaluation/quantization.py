"""Convert real values to a file's integers and back, with the file's scale and zero point."""

import numpy as np

# The largest float32 below one half: added instead of 0.5, it makes truncation round like
# `std::round`, even for values such as 0.49999997 whose sum with 0.5 rounds up to 1.
_BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))
_SIGN_BIT = np.uint32(1 << 31)


def quantize(values, scale, zero_point, dtype):
    """Map real values to integers as TFLite's QUANTIZE operator does.

        q = clamp(round(x / scale) + zero_point, lowest, highest)

    in float32, with halves rounded away from zero, and lowest and highest those of `dtype`.

    Args:
        values: Array of finite real values of any shape.
        scale: Step of the grid, above 0.
        zero_point: The integer that stands for 0.0.
        dtype: The integers' numpy dtype, of at most 16 bits.

    Returns:
        Array of `dtype` and of the shape of `values`.

    Example:
        >>> quantize([-1.0, 0.0, 0.25, 9.0], 0.5, 1, "int8")
        array([-1,  1,  2, 19], dtype=int8)
    """
    values = np.asarray(values)
    return Quantizer(values.shape, scale, zero_point, dtype)(values)


def dequantize(values, scale, zero_point):
    """Map a file's integers to real values as TFLite's DEQUANTIZE operator does.

        x = scale * (q - zero_point)

    Args:
        values: Array of integers of at most 16 bits.
        scale: Step of the grid.
        zero_point: The integer that stands for 0.0.

    Returns:
        Float32 array of the shape of `values`.

    Example:
        >>> dequantize(np.array([-1, 1, 19], "int8"), 0.5, 1)
        array([-1.,  0.,  9.], dtype=float32)
    """
    real = np.asarray(values).astype(np.float32)
    real -= np.float32(zero_point)
    real *= np.float32(scale)
    return real


class Quantizer:
    """Applies `quantize` to many arrays of one shape, with memory that is allocated once.

    Args:
        shape: Shape of the arrays.
        scale: As for `quantize`.
        zero_point: As for `quantize`.
        dtype: As for `quantize`.
    """

    def __init__(self, shape, scale, zero_point, dtype):
        self._scale = np.float32(scale)
        self._zero_point = np.float32(zero_point)
        self._dtype = np.dtype(dtype)
        limits = np.iinfo(self._dtype)
        self._limits = np.float32(limits.min), np.float32(limits.max)
        self._steps = np.empty(shape, np.float32)
        self._halves = np.empty(shape, np.float32)

    def __call__(self, values):
        """Quantize an array of the shape, or one with a shorter first dimension."""
        part = ... if np.shape(values) == self._steps.shape else slice(len(values))
        steps, halves = self._steps[part], self._halves[part]
        with np.errstate(over="ignore"):
            np.divide(values, self._scale, out=steps, dtype=np.float32, casting="unsafe")
        _copy_sign(_BELOW_HALF, steps, halves)
        np.add(steps, halves, out=steps)
        np.trunc(steps, out=steps)
        np.add(steps, self._zero_point, out=steps)
        np.clip(steps, *self._limits, out=steps)
        return steps.astype(self._dtype)


def _copy_sign(magnitude, signs, out):
    """Compute `np.copysign` by bit operations, which is six times as fast."""
    bits = out.view(np.uint32)
    np.bitwise_and(signs.view(np.uint32), _SIGN_BIT, out=bits)
    np.bitwise_or(bits, magnitude.view(np.uint32), out=bits)
