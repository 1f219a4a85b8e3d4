"""The base class of weight encodings, and the header that DECODE reads."""

import abc
import dataclasses

import numpy as np
from numpy.typing import ArrayLike

_HEADER_BYTES = 16
_HEADER_VERSION = 1
_OWN_BYTES = 4


@dataclasses.dataclass(frozen=True)
class Encoded:
    """The two tensors that replace one weight tensor.

    Args:
        data: Bytes of the encoded tensor.
        ancillary: Bytes of the tensor that says how to decode: a header of 16 bytes, then what
            the encoding puts there.
    """

    data: bytes
    ancillary: bytes

    def __len__(self):
        return len(self.data) + len(self.ancillary)


class Encoding(abc.ABC):
    """A way to store a weight tensor that TFLite Micro can decode.

    Attributes:
        code: Number of the encoding in the header.
    """

    code: int

    @abc.abstractmethod
    def encode(
        self, values: np.ndarray, zero_points: np.ndarray, axis: int | None
    ) -> Encoded | None:
        """Encode a tensor.

        Args:
            values: Integer array in the file's layout.
            zero_points: Int64 array, one or one for each channel.
            axis: Axis of the channels, `None` where one scale serves the tensor.

        Returns:
            An `Encoded`, or `None` where the encoding cannot hold these values.
        """

    @abc.abstractmethod
    def decode(
        self, encoded: Encoded, values: np.ndarray, zero_points: np.ndarray, axis: int | None
    ) -> None:
        """Decode a tensor, as the device does.

        Args:
            encoded: An `Encoded`.
            values: Array to fill, of the tensor's shape and type.
            zero_points: As for `encode`.
            axis: As for `encode`.
        """

    def header(self, *own: int) -> bytes:
        """Return the 16 bytes at the start of the ancillary tensor.

        Byte 0 is the encoding, byte 1 the header's version, bytes 4 to 15 the encoding's own.

        Args:
            *own: Values of the bytes from 4 on.
        """
        header = bytearray(_HEADER_BYTES)
        header[:2] = self.code, _HEADER_VERSION
        header[_OWN_BYTES : _OWN_BYTES + len(own)] = own
        return bytes(header)

    @staticmethod
    def body(encoded: Encoded) -> bytes:
        """Return the bytes after the header in the ancillary tensor."""
        return encoded.ancillary[_HEADER_BYTES:]


def along(axis: int | None, values: ArrayLike, ndim: int) -> np.ndarray:
    """Reshape one value per channel so that it broadcasts to a tensor.

    Args:
        axis: Axis of the channels, `None` for a single value.
        values: One value, or one for each channel.
        ndim: Number of dimensions of the tensor.
    """
    shape = [1] * ndim
    shape[axis or 0] = -1
    return np.asarray(values).reshape(shape)


def unpack_bits(data: bytes, bits: int, count: int) -> np.ndarray:
    """Unpack codes that `pack_bits` packed.

    Args:
        data: Bytes.
        bits: Width of a code, at most 8.
        count: Number of codes.

    Returns:
        Uint8 array of length `count`.
    """
    digits = np.unpackbits(np.frombuffer(data, np.uint8), count=bits * count).reshape(-1, bits)
    return np.packbits(np.pad(digits, ((0, 0), (8 - bits, 0))), axis=1)[:, 0]


def pack_bits(codes: ArrayLike, bits: int) -> bytes:
    """Pack codes one after the other, most significant bit first, without gaps.

    Args:
        codes: Array of integers in 0 … 2**bits - 1, read row by row.
        bits: Width of a code, at most 8.

    Returns:
        Bytes; the last one is filled up with zero bits.

    Example:
        >>> pack_bits(np.array([1, 2, 3, 0]), 2).hex()
        '6c'
    """
    codes = np.asarray(codes, np.uint8).reshape(-1, 1)
    return np.packbits(np.unpackbits(codes, axis=1)[:, 8 - bits :]).tobytes()
