"""The layer in place of an LSTM that was trained under quantization, until the file is written."""

import zlib

import keras
import numpy as np

from keras_compress.quantization.lstm_rounding import cell_limit
from keras_compress.support.types import Tensor
from keras_compress.wrappers.compressed_lstm import CompressedLstm


class TrainedLstm(keras.layers.Layer):
    """Holds the place of an LSTM's operator in the model that is exported.

    TensorFlow's converter has no way to give an LSTM operator learned ranges: it refuses an LSTM
    between fake-quantizations. It turns this layer, a product of each step with a matrix, into
    one FULLY_CONNECTED between the tensors that the LSTM reads and writes, with their learned
    ranges. `trained_lstm_file` replaces that operator.

    Args:
        wrapper: The `CompressedLstm`, with its ranges.
        name: Name of the layer.
    """

    def __init__(self, wrapper: CompressedLstm, name: str):
        super().__init__(name=name)
        self.wrapper_name = wrapper.name
        self.units = wrapper.layer.units
        self.cell_limit = cell_limit(max(map(abs, wrapper.cell_range.range)))

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Create the matrix by which the operator is found in the file."""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        shape = (input_shape[-1], self.units)
        values = random.uniform(0.5, 1.0, shape).astype("float32")
        self.kernel = self.add_weight(shape=values.shape, name="place")
        self.kernel.assign(values)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Return a tensor of the shape of the LSTM's outputs, (batch, steps, units)."""
        return keras.ops.matmul(inputs, self.kernel)
