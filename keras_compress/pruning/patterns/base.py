"""The base class of sparsity patterns."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.pruning.ranking import layer_mask
from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class Pattern(Plugin, abc.ABC):
    """Arranges weights in groups, and maps their scores and a sparsity to a mask.

    Weights come in the layout in which TFLite stores them, because a kernel can only exploit zeros
    in that layout: Dense (out, in) and convolutions (out, h, w, in) with `channel_axis` 0,
    depthwise convolutions (1, h, w, channels) with `channel_axis` 3.

    Attributes:
        local: Whether groups compete only within a neighbourhood that the pattern defines, so that
            a ranking over the whole model is meaningless.
    """

    local: ClassVar[bool] = False

    @abc.abstractmethod
    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """Arrange weights in groups; each group is pruned as a unit.

        Args:
            weights: Array in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Array (n_groups, elements_per_group); a masked array if the last groups extend beyond
            the weights.
        """

    @abc.abstractmethod
    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Expand a mask of groups to a mask of weights; the inverse of `group`.

        Args:
            keep: Boolean array (n_groups,), true where the group is kept.
            shape: Shape of the weights in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Boolean array of shape `shape`.
        """

    @abc.abstractmethod
    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Count the weights in each group.

        Args:
            shape: Shape of the weights in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Integer array (n_groups,).
        """

    def mask(
        self, scores: np.ndarray, sparsity: float, shape: tuple[int, ...], channel_axis: int
    ) -> np.ndarray:
        """Choose the weights to keep.

        Args:
            scores: Float array (n_groups,); groups with higher scores are kept.
            sparsity: Float in [0, 1), the fraction of groups to prune.
            shape: Shape of the weights in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Boolean array of shape `shape`, true where the weight is kept.
        """
        return self.ungroup(layer_mask(scores, sparsity), shape, channel_axis)

    def check_target(self, sparsity: float) -> None:
        """Refuse a final sparsity of a schedule that does not suit this pattern.

        Args:
            sparsity: Float in [0, 1), the final sparsity of the schedule.

        Raises:
            InvalidArgumentError: The pattern would not be reached.
        """
