"""The base class of weight quantizers."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras_compress.quantization.fake_quant import fake_quantize_weights
from keras_compress.support.plugins import Plugin
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class WeightQuantizer(Plugin, abc.ABC):
    """Maps a weight tensor to the step of its symmetric grid, and rounds it to that grid.

    Most quantizers only choose a step. A quantizer may also round to fewer values than the grid
    has (`quantize`, `stored_bits`), train the step (`learned`, `trained_scale`), or move the
    weights themselves after each update (`projects`, `project`).
    """

    learned: ClassVar[bool] = False  # whether the step is trained by gradient descent
    projects: ClassVar[bool] = False  # whether weights are moved after each update
    # Whether widths may be tensors: they may if they enter through `grid_limit` alone. Otherwise a
    # graph that must follow the width has a branch for each.
    takes_tensor_widths: ClassVar[bool] = False

    @abc.abstractmethod
    def scale(self, weights: Tensor, axes: Sequence[int], bits: int | Tensor) -> Tensor:
        """Choose the scale.

        Args:
            weights: Float tensor.
            axes: Axes to reduce over; each position along the other axes has its own scale.
            bits: Width, 2 to 8; a tensor only if `takes_tensor_widths`.

        Returns:
            Positive tensor, of size 1 along `axes`.
        """

    def quantize(
        self, weights: Tensor, scale: Tensor, axes: Sequence[int], bits: int | Tensor
    ) -> Tensor:
        """Round weights, with a straight-through gradient.

        Args:
            weights: Float tensor.
            scale: Step of the grid, of size 1 along `axes`.
            axes: Axes that share a scale.
            bits: Width, 2 to 8; a tensor only if `takes_tensor_widths`.

        Returns:
            Tensor of the same shape: integers of `stored_bits(bits)` bits times `scale`.
        """
        return fake_quantize_weights(weights, scale, bits)

    @property
    def uniform(self) -> bool:
        """Whether weights may take every value of the grid."""
        return True

    def stored_bits(self, bits: int) -> int:
        """Return the width of the integers that the file stores.

        Args:
            bits: Width of weights as the user requested it.

        Raises:
            InvalidArgumentError: A width that the quantizer does not support.
        """
        return bits

    def trained_scale(self, step: Tensor, size: int, bits: int | Tensor) -> Tensor:
        """Return the scale for a trained step; called only if `learned`.

        Args:
            step: The trained variable.
            size: Number of weights that share one step.
            bits: Width, 2 to 8; a tensor only if `takes_tensor_widths`.

        Returns:
            Positive tensor of the same shape as `step`.
        """
        return step

    def project(self, weights: Tensor, rounded: Tensor, updates: Tensor) -> Tensor:
        """Return weights moved towards the grid after an update; called only if `projects`.

        Args:
            weights: The weights after the optimizer's update.
            rounded: The same weights, rounded to the grid.
            updates: Number of updates so far, scalar float tensor.

        Returns:
            Tensor of the same shape.
        """
        return weights
