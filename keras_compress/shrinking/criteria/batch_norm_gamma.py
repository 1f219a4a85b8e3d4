"""The scales of batch normalization, as in network slimming."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np

from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class BatchNormGamma(StructuralCriterion):
    """Mean |gamma| of the batch normalizations that scale a group's channels.

    Train with `SlimmingCallback` first: without its L1 penalty the scales say little about
    importance. Groups that no BatchNormalization scales are kept.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    ICCV 2017, section 3.

    Example:
        >>> BatchNormGamma().comparable
        True
    """

    comparable: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        total, count = np.zeros(statistics.graph.size), np.zeros(statistics.graph.size)
        for slot in statistics.graph.slots:
            if isinstance(slot.layer, keras.layers.BatchNormalization) and is_gamma(slot):
                np.add.at(total, slot.groups, np.abs(keras.ops.convert_to_numpy(slot.weight)))
                np.add.at(count, slot.groups, 1)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def is_gamma(slot):
    """Tell whether a slot is the scale of its normalization layer."""
    return slot.layer.scale and slot.weight is slot.layer.gamma
