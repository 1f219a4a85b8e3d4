"""An encoding of weights as one bit for each weight, and the nonzero weights."""

import numpy as np

from keras_compress.tflite.encodings.base import (
    Encoded,
    Encoding,
    along,
    pack_bits,
    unpack_bits,
)


class Bitmap(Encoding):
    """TFLite Micro's encoding of pruned weights.

    The encoded tensor is a bitmap in row-major order, most significant bit first: 1 where a value
    is stored, 0 for the zero point. The ancillary tensor holds the stored values in that order.
    Of n weights with z zeros it takes n / 8 + (n - z) bytes and the header.

    Source: tflite-micro, "TFLM DECODE Operator Design", decode type 2.
    """

    code = 2

    def encode(
        self, values: np.ndarray, zero_points: np.ndarray, axis: int | None
    ) -> Encoded | None:
        """See `Encoding.encode`."""
        if axis not in (None, 0, values.ndim - 1):
            return None
        stored = values != along(axis, zero_points, values.ndim)
        return Encoded(pack_bits(stored, 1), self.header(1) + values[stored].tobytes())

    def decode(
        self, encoded: Encoded, values: np.ndarray, zero_points: np.ndarray, axis: int | None
    ) -> None:
        """See `Encoding.decode`."""
        stored = unpack_bits(encoded.data, 1, values.size).reshape(values.shape) > 0
        values[...] = along(axis, zero_points, values.ndim)
        values[stored] = np.frombuffer(self.body(encoded), values.dtype)
