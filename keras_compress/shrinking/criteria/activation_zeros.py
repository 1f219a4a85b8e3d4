"""Average percentage of zeros (APoZ) in the activations of a channel."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.layers import operations
from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.group_statistics import GroupStatistics

ACTIVATIONS = ("relu", "relu6")


@dataclasses.dataclass(frozen=True)
class ActivationZeros(StructuralCriterion):
    """Share of a channel's activations that are not zero: 1 - APoZ.

    It is measured after each ReLU, over all samples and positions. Channels that no ReLU follows
    are kept.

    Source: Hu et al., "Network Trimming: A Data-Driven Neuron Pruning Approach towards
    Efficient Deep Architectures", 2016, arXiv:1607.03250, equation 1.

    Example:
        >>> ActivationZeros().needs_data
        True
    """

    needs_data: ClassVar[bool] = True
    comparable: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        graph = statistics.graph
        values = [call.output for call in graph.graph.calls if _is_relu(call.operation)]
        values = [value for value in values if graph.axes(value)]
        active, seen = np.zeros(graph.size), np.zeros(graph.size)
        for arrays in statistics.activations(values) if values else ():
            for value, array in zip(values, arrays, strict=True):
                for axis, groups in graph.axes(value).items():
                    rows = np.moveaxis(array, axis, 0).reshape(len(groups), -1)
                    np.add.at(active, groups, np.count_nonzero(rows, axis=1))
                    np.add.at(seen, groups, rows.shape[1])
        return np.divide(active, seen, out=np.full_like(seen, np.nan), where=seen > 0)


def _is_relu(operation):
    row = operations.of(operation)
    applied = getattr(getattr(operation, "activation", None), "__name__", row.activation)
    return row.form == "rectifier" or applied in ACTIVATIONS
