"""Prune blocks of the weight matrix."""

import dataclasses
import math
import re
from typing import Self

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.patterns.base import Pattern


@dataclasses.dataclass(frozen=True)
class Block(Pattern):
    """Blocks of the matrix (output channels, inputs), which vector kernels skip as a whole.

    The matrix is the deployed weight with its channel axis first and all other axes flattened:
    (out, h * w * in) for a convolution. `"1x4"` is one output channel by four consecutive
    inputs. If the matrix does not divide evenly into blocks, the last blocks are smaller, and a
    criterion sees only their real weights.

    Source: Narang, Undersander and Diamos, "Block-sparse recurrent neural networks", 2017,
    arXiv:1711.02782, section 3.1; 1x4 is the block of TFLite's sparse kernels.

    Args:
        rows: Number of output channels in a block.
        columns: Number of consecutive inputs in a block.

    Raises:
        InvalidArgumentError: A side below 1.

    Example:
        >>> Block.from_name("4x4")
        Block(rows=4, columns=4)
        >>> Block(1, 2).group(np.array([[1, 2, 3, 4]]), 0).tolist()
        [[1, 2], [3, 4]]
    """

    rows: int = 1
    columns: int = 4

    def __post_init__(self):
        for side in ("rows", "columns"):
            if not isinstance(getattr(self, side), int) or getattr(self, side) < 1:
                raise InvalidArgumentError(
                    f"{side} of a block must be an integer >= 1. "
                    f"Received: {side}={getattr(self, side)!r}"
                )

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Return the pattern for a name such as `"1x4"`, or `None` for any other name."""
        match = re.fullmatch(r"(\d+)x(\d+)", name)
        return cls(int(match[1]), int(match[2])) if match else None

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """See `Pattern.group`."""
        matrix = _matrix(weights, channel_axis)
        height, width = matrix.shape
        if height % self.rows or width % self.columns:
            missing = (-height % self.rows), (-width % self.columns)
            padding = [(0, count) for count in missing]
            outside = np.pad(np.zeros(matrix.shape, bool), padding, constant_values=True)
            matrix = np.ma.masked_array(np.pad(matrix, padding), outside)
        blocks = matrix.reshape(
            matrix.shape[0] // self.rows, self.rows, matrix.shape[1] // self.columns, self.columns
        )
        return blocks.transpose(0, 2, 1, 3).reshape(-1, self.rows * self.columns)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.ungroup`."""
        moved_shape = [shape[channel_axis], *np.delete(shape, channel_axis)]
        height, width = moved_shape[0], math.prod(moved_shape[1:])
        grid = keep.reshape(-(-height // self.rows), -(-width // self.columns))
        matrix = grid.repeat(self.rows, axis=0).repeat(self.columns, axis=1)[:height, :width]
        return np.moveaxis(matrix.reshape(moved_shape), 0, channel_axis)

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.group_sizes`."""
        ones = self.group(np.ones(shape, int), channel_axis)
        return np.asarray(ones.sum(axis=1))


def _matrix(weights, channel_axis):
    return np.moveaxis(weights, channel_axis, 0).reshape(weights.shape[channel_axis], -1)
