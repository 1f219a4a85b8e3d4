"""The base of weight quantizers."""

import abc
import dataclasses

from keras_compress.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class WeightQuantizer(Plugin, abc.ABC):
    """Maps a weight tensor to the step of its symmetric grid."""

    @abc.abstractmethod
    def scale(self, weights, axes, bits):
        """Choose the scale.

        Args:
            weights: Float tensor.
            axes: Axes to reduce over; the rest have a scale for each position.
            bits: Width, 2 to 8.

        Returns:
            Positive tensor, of size 1 along `axes`.
        """
