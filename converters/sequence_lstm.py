"""The layer in place of an LSTM that becomes one operator, and its weights in the file."""

import dataclasses

import keras
import numpy as np

from keras_compress.converters.fused_lstm_tensorflow import GATES, sequence_lstm
from keras_compress.support.types import Tensor


class SequenceLstm(keras.layers.Layer):
    """Computes the same as an LSTM with its default activations, and is one operator in the file.

    Args:
        layer: A built `keras.layers.LSTM`, or an `RNN` of an `LSTMCell`.
        name: Name of the new layer. Default: that of the LSTM.
    """

    def __init__(self, layer: keras.layers.RNN, name: str | None = None):
        super().__init__(name=name or layer.name)
        self._units = layer.cell.units
        self._go_backwards, self._whole = layer.go_backwards, layer.return_sequences
        arrays = layer.cell.get_weights()
        if not layer.cell.use_bias:
            arrays.append(np.zeros(GATES * self._units, np.float32))
        self.kernel, self.recurrent_kernel, self.bias = (
            self.add_weight(shape=array.shape, name=name)
            for array, name in zip(arrays, ("kernel", "recurrent_kernel", "bias"), strict=True)
        )
        self.set_weights(arrays)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Return the outputs of all steps (batch, steps, units) or the last (batch, units)."""
        if self._go_backwards:
            inputs = inputs[:, ::-1]
        outputs = sequence_lstm(inputs, [weight.value for weight in self.weights], self.name)
        return outputs if self._whole else outputs[:, -1]

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Return shape and type of the outputs."""
        batch, steps, _ = inputs.shape
        shape = (batch, steps, self._units) if self._whole else (batch, self._units)
        return keras.KerasTensor(shape, inputs.dtype)

    def gates(self) -> "GateWeights":
        """Return the weights as the operator has them: for each gate, a matrix of its own."""
        kernel, recurrent, bias = self.get_weights()
        return GateWeights(
            inputs=tuple(np.split(kernel.T, GATES)),
            recurrent=tuple(np.split(recurrent.T, GATES)),
            biases=tuple(np.split(bias, GATES)),
        )

    def largest_cell(self, inputs: np.ndarray) -> float:
        """Return the largest magnitude in the cell state at any step.

        Args:
            inputs: Array (samples, steps, features).
        """
        kernel, recurrent, bias = self.get_weights()
        features = keras.ops.convert_to_numpy(inputs)[:, :: -1 if self._go_backwards else 1]
        hidden = cell = np.zeros((len(features), self._units), np.float32)
        largest = 0.0
        for step in np.moveaxis(features @ kernel + bias, 1, 0):
            taken, kept, new, shown = np.split(step + hidden @ recurrent, GATES, axis=1)
            cell = _sigmoid(kept) * cell + _sigmoid(taken) * np.tanh(new)
            hidden = _sigmoid(shown) * np.tanh(cell)
            largest = max(largest, float(np.abs(cell).max()))
        return largest


def _sigmoid(values):
    return (1 + np.tanh(values / 2)) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class GateWeights:
    """The float weights of an LSTM's gates: input, forget, cell and output.

    Args:
        inputs: Four arrays (units, features), multiplied by the inputs.
        recurrent: Four arrays (units, units), multiplied by the outputs of the step before.
        biases: Four arrays (units,).
    """

    inputs: tuple[np.ndarray, ...]
    recurrent: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
