"""The wrapper of an LSTM: its kernels, and the values inside a step, on the grids of the file."""

from typing import Any

import keras
from keras import ops

from keras_compress.lowering.recurrent_layers import ExactSteps, kernel_names
from keras_compress.quantization.fake_quant import fake_quantize_activations
from keras_compress.quantization.lstm_rounding import (
    cell_end,
    cell_limit_of,
    rounded_activation,
    rounded_product,
    rounded_to_16_bits,
)
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.replaced_variables import call_with
from keras_compress.wrappers.state_variable import where

# The operator's weights: LiteRT and TFLite Micro have no kernel for narrower ones.
LSTM_BITS = 8


@keras.saving.register_keras_serializable(package="keras_compress")
class CellRange(ActivationQuantizer):
    """The range of an LSTM's cell state, whose grid has 16 bits and ends at a power of two."""

    @property
    def limit(self):
        """The end of the grid, a scalar tensor that is zero while the range is unknown."""
        largest = ops.maximum(ops.abs(self.minimum), ops.abs(self.maximum))
        limit = cell_limit_of(ops.stop_gradient(largest))
        return ops.where(ops.convert_to_tensor(self.count) > 0, limit, ops.zeros_like(limit))

    def see(self, cells, training):
        """Learn the range from cell states."""
        self(cells, training=training)


@keras.saving.register_keras_serializable(package="keras_compress")
class CompressedLstm(CompressedLayer):
    """Calls an `LstmSteps` with its kernels and the values inside a step as in the file.

    Args:
        layer: An `LstmSteps`.
        **kwargs: As for `CompressedLayer`.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        # The grid ends at a power of two, so the extremes of all steps widen it seldom.
        self.cell_range = CellRange(bits=16, calibrator="min_max", name="cell_range")

    def build(self, input_shape):
        """Build the wrapper and the range of the cell state."""
        super().build(input_shape)
        self.cell_range.build(None)

    def call(
        self,
        inputs,
        input_step=None,
        output_step=None,
        training=None,
        output_range=None,
        **kwargs,
    ):
        """Call the layer with the weights and inner grids that will be deployed.

        Args:
            inputs: Tensor (batch, steps, features).
            input_step: As for `CompressedLayer`.
            output_step: Not used: the kernels round outputs once.
            training: Whether this is a training step.
            output_range: Ends of the range that the outputs are rounded to, a tensor (2,). Each
                step reads the outputs of the step before on this grid.
            **kwargs: Other arguments of the layer's call, of which it has none.

        Returns:
            The outputs of all steps, (batch, steps, units).
        """
        change = self._bias_change(input_step, self.is_learning_step(training))
        replacements = [(self.variable(k), self.effective_kernel(k)) for k in self.kernels]
        if change is not None:
            replacements.append((self.layer.bias, self.layer.bias + change))
        rounding = _RoundedSteps(self.is_on, self.cell_range, output_range)
        return call_with(self.layer, replacements, inputs, rounding=rounding, **kwargs)

    def set_phase(self, phase):
        """See `PhasedLayer.set_phase`; the cell state is part of the same operator."""
        super().set_phase(phase)
        self.cell_range.set_phase(phase)

    @property
    def rounds_bias(self):
        """Whether the layer has a bias that the file stores as integers."""
        return self.quantization is not None and self.layer.use_bias

    def accumulator_step(self, input_step):
        """See `RoundedKernels.accumulator_step`: one step for each unit of each gate."""
        gates = {kernel.attribute: kernel for kernel in self.kernels}
        steps = [self.scale(gates[name]) for name in kernel_names("kernel")]
        joined = ops.repeat(ops.concatenate([ops.ravel(s) for s in steps]), self.layer.units)
        return ops.stop_gradient(input_step * joined)

    def compute_output_spec(self, inputs, training=None, **kwargs):
        """Return shape and type of the outputs."""
        return self.layer.compute_output_spec(inputs)


class _RoundedSteps(ExactSteps):
    """Rounds the values inside a step to the file's grids, once quantization has begun."""

    def __init__(self, is_on, cell_range, output_range):
        self._cell_range = cell_range
        self._ends: Any = None
        # While ranges are measured, activations are as in float.
        self._is_on = is_on if cell_range.observer is None else False
        limit = cell_range.limit
        self._knows_cells = limit > 0
        self._cell_end = cell_end(ops.where(self._knows_cells, limit, 1.0))
        if output_range is not None:
            low, high = output_range[0], output_range[1]
            self._knows_outputs = high > low
            self._ends = low, ops.where(self._knows_outputs, high, 1.0)

    def product(self, values):
        return self._once_on(values, rounded_product)

    def total(self, values):
        return self._once_on(values, rounded_product)

    def activation(self, values):
        return self._once_on(values, rounded_activation)

    def cell(self, values):
        return self._once_on(values, self._rounded_cell)

    def hidden(self, values):
        return values if self._ends is None else self._once_on(values, self._rounded_hidden)

    def see_cells(self, cells, training):
        self._cell_range.see(cells, training)

    def _once_on(self, values, rounded):
        return values if self._is_on is False else where(self._is_on, rounded(values), values)

    def _rounded_cell(self, values):
        return ops.where(self._knows_cells, rounded_to_16_bits(values, self._cell_end), values)

    def _rounded_hidden(self, values):
        low, high = self._ends
        rounded = fake_quantize_activations(values, low, high, bits=8)
        return ops.where(self._knows_outputs, rounded, values)
