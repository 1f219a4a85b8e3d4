"""What every cause of error shares: the one method."""

import abc

from keras_compress.analysis.layer_statistics import LayerStatistics
from keras_compress.analysis.result import Cause


class CauseFinder(abc.ABC):
    """Looks for one cause of error.

    All causes are measured in the same unit, the bits of resolution that a typical value of
    the tensor loses: a grid `r` times as wide as the values need costs log2(r) bits.
    """

    @abc.abstractmethod
    def find(self, statistics: LayerStatistics) -> list[Cause]:
        """Return the layers where the cause applies.

        Args:
            statistics: The tensors of a quantized model and their float values.
        """
