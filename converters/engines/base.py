"""The interface of a conversion engine: one method."""

import abc
from collections.abc import Callable
from typing import ClassVar

from keras_compress.converters.export import ExportedModel
from keras_compress.converters.options import ConversionOptions
from keras_compress.data.representative_dataset import RepresentativeDataset


class Engine(abc.ABC):
    """Converts an exported model to a flatbuffer.

    Attributes:
        unsupported_rewrites: Names of rewrites whose operators the engine cannot quantize.
    """

    unsupported_rewrites: ClassVar[frozenset[str]] = frozenset()

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
            exported: The SavedModel. An engine may write beside its folder; the caller deletes
                everything afterwards.
            calibration: Samples; `None` if the options ask for no quantization, or training has
                learned every range.
            options: Options of the conversion.
            progress: To be called from time to time with (samples calibrated, total samples).

        Returns:
            The bytes of a TFLite file with inputs and outputs in the order of the Keras model.

        Raises:
            ConversionError: The conversion failed; the message says where and what to do.
        """
