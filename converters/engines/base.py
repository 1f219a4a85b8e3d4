"""What every conversion engine shares: the one method."""

import abc
from collections.abc import Callable

from keras_compress.converters.export import ExportedModel
from keras_compress.converters.options import ConversionOptions
from keras_compress.data.representative_dataset import RepresentativeDataset


class Engine(abc.ABC):
    """A way from an exported model to a flatbuffer."""

    @abc.abstractmethod
    def convert(
        self,
        exported: ExportedModel,
        calibration: RepresentativeDataset | None,
        options: ConversionOptions,
        progress: Callable[[int, int], None],
    ) -> bytes:
        """Convert a model.

        Args:
            exported: The SavedModel. An engine may write beside its folder; the caller takes
                all of it away afterwards.
            calibration: Samples; `None` where the options ask for no quantization, and where
                training has learned every range.
            options: What is asked for.
            progress: To be called with (samples calibrated, samples in all) now and then.

        Returns:
            The bytes of a TFLite file with inputs and outputs in the order of the Keras model.

        Raises:
            ConversionError: The conversion failed; the message says where and what to do.
        """
