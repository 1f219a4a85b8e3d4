"""An encoding of weights as a table of their distinct values, and an index for each weight."""

import numpy as np

from keras_compress.tflite.encodings.base import (
    Encoded,
    Encoding,
    along,
    pack_bits,
    unpack_bits,
)

_LARGEST_WIDTH = 7
_ONE_TABLE = 15
# Positions of this header's bytes in the ancillary tensor: the width with the axis, the stride.
_WIDTH, _STRIDE = 5, 6


class LookUpTable(Encoding):
    """TFLite Micro's encoding of clustered weights.

    The encoded tensor holds indices of equal width, most significant bit first. The ancillary
    tensor holds the tables: one if the tensor has one scale, else one for each channel, because
    the runtime expects as many tables as the tensor has scales. All tables have the length of the
    longest.

    Source: tflite-micro, "TFLM DECODE Operator Design", decode type 0.
    """

    code = 0

    def encode(
        self, values: np.ndarray, zero_points: np.ndarray, axis: int | None
    ) -> Encoded | None:
        """See `Encoding.encode`."""
        if axis not in (None, 0, values.ndim - 1):
            return None
        channels = values[None] if axis is None else np.moveaxis(values, axis, 0)
        tables, indices = _tables(channels.reshape(len(channels), -1))
        width = max(1, (tables.shape[1] - 1).bit_length())
        if width > _LARGEST_WIDTH:
            return None
        indices = indices.reshape(channels.shape)
        indices = indices[0] if axis is None else np.moveaxis(indices, 0, axis)
        table_axis = _ONE_TABLE if axis is None else axis
        header = self.header(1, table_axis << 4 | width, tables.shape[1])
        return Encoded(pack_bits(indices, width), header + tables.tobytes())

    def decode(
        self, encoded: Encoded, values: np.ndarray, zero_points: np.ndarray, axis: int | None
    ) -> None:
        """See `Encoding.decode`."""
        width, stride = encoded.ancillary[_WIDTH] & _LARGEST_WIDTH, encoded.ancillary[_STRIDE]
        tables = np.frombuffer(self.body(encoded), values.dtype).reshape(-1, stride)
        indices = unpack_bits(encoded.data, width, values.size).reshape(values.shape)
        channel = along(axis, np.arange(len(tables)), values.ndim)
        values[...] = tables[channel, indices]


def _tables(channels):
    """Return the sorted values of each row, padded with zeros, and the index of each value."""
    distinct = [np.unique(row, return_inverse=True) for row in channels]
    tables = np.zeros((len(distinct), max(len(table) for table, _ in distinct)), channels.dtype)
    for row, (table, _) in zip(tables, distinct, strict=True):
        row[: len(table)] = table
    return tables, np.stack([inverse.reshape(-1) for _, inverse in distinct])
