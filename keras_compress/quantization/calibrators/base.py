"""The base of activation calibrators."""

import abc
import dataclasses

from keras_compress.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class Calibrator(Plugin, abc.ABC):
    """Maps a stream of observed batches to a range."""

    @abc.abstractmethod
    def update(self, minimum, maximum, count, batch_minimum, batch_maximum):
        """Take one more batch into account.

        Args:
            minimum: Lower end so far, scalar tensor.
            maximum: Upper end so far.
            count: Number of batches seen so far, scalar float tensor.
            batch_minimum: Smallest value of the new batch.
            batch_maximum: Largest value of the new batch.

        Returns:
            Tuple of the new (minimum, maximum).
        """
