"""A `torch.utils.data.DataLoader` of samples or batches."""

from typing import Any

from keras_compress.data.element_source import ElementSource
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.data.structure import is_instance


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are a `DataLoader`."""
    return is_instance(data, "torch", "DataLoader")


def read(data: Any, inputs: Inputs) -> Source:
    """Return the `ElementSource` of the batches; tensors become arrays one batch at a time.

    Torch puts channels first, Keras last: images must be transposed in the dataset
    (`image.permute(1, 2, 0)`), because their shape does not always show their layout.
    """
    return ElementSource(data, inputs)
