"""The layers that round activations in a compressed model, and the steps that others read."""

import dataclasses

import keras

from keras_compress.graph.graph import Graph, Value
from keras_compress.layers import operations
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import BYTE_RANGES, activation_name, role
from keras_compress.lowering.normalization_layers import NormalizationAffine
from keras_compress.quantization.range_placement import RangePlacement
from keras_compress.quantization.settings import FLOAT_BITS, Settings
from keras_compress.spec import Quantization
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.compressed_lstm import CompressedLstm
from keras_compress.wrappers.copies import LayerCopies
from keras_compress.wrappers.phased_normalization import PhasedNormalization


@dataclasses.dataclass
class RangeLayers:
    """Creates the `ActivationQuantizer` of each range at its first request.

    Args:
        graph: The graph of the model to compress.
        settings: How it is quantized.
        placement: Which values have ranges.
        copies: The copies of its layers, which own the names.
    """

    graph: Graph
    settings: Settings
    placement: RangePlacement
    copies: LayerCopies

    def __post_init__(self):
        self._layers: dict[Value | None, ActivationQuantizer] = {}

    def rounded(self, value, tensor, name):
        """Round a tensor, if it is one that the file materializes.

        Args:
            value: The graph's `Value` that the tensor is.
            tensor: A tensor of the new model.
            name: Name of the layer that made it, after which the range is named.

        Returns:
            The rounded tensor, or `tensor`.
        """
        planned = self.placement.ranges.get(value)
        if planned is None or self.settings.activation_bits == FLOAT_BITS:
            return tensor
        if planned.tied_to is not None:
            quantizer = self._layers[planned.tied_to]
            return quantizer(tensor, observe=False, averages=planned.averages)
        return self._layer(value, name)(tensor, **self._factor_steps(value, tensor))

    def _factor_steps(self, value, tensor):
        """Return the steps of the factors of a product of two tensors, which is rounded twice."""
        maker = value.producer
        if maker is None or operations.of(maker.operation).form != "matrix_product":
            return {}
        sources = [self.placement.governing.get(factor) for factor in maker.inputs]
        if len(sources) != 2 or self.settings.activation_bits > 8:
            return {}
        if any(source not in self._layers for source in sources):
            return {}
        first, second = (self._layers[source] for source in sources)
        step_for = (
            second.asymmetric_step_for if self.settings.rescales_in_8_bits else second.step_for
        )
        return {"factor_steps": [first.step_for(tensor), step_for(tensor)]}

    def _layer(self, value, name):
        """Return the layer that holds the range of a value, created at the first request."""
        if value not in self._layers:
            bits, planned = self.settings.activation_bits, self.placement.ranges[value]
            self._layers[value] = ActivationQuantizer(
                bits=bits,
                calibrator=self._calibrator(value),
                fixed_range=_fixed_range(planned.fixed, bits),
                masked=planned.masked,
                non_negative=planned.non_negative,
                name=self.copies.free_name(f"{name}_range"),
            )
        return self._layers[value]

    def _calibrator(self, value):
        """Return the calibrator of a value; the default clips no output of the model.

        Inside a network a moving average leaves rare extremes out. The outputs are what users read:
        there a clipped value is wrong, whatever its neighbours are.
        """
        outputs = (self.placement.governing.get(output) for output in self.graph.flat_outputs)
        is_default = self.settings.calibrator == Quantization().calibrator
        return "min_max" if is_default and value in set(outputs) else self.settings.calibrator

    def steps(self, layer, call, args):
        """Return the steps that a layer needs to round as the file does, as arguments of its call.

        Args:
            layer: The layer of the new model.
            call: The graph's call that it takes the place of.
            args: Arguments of its call, tensors of the new model.

        Returns:
            Dict with `input_step`, to round its bias, and `output_step`, or of an LSTM
            `output_range`; empty for other layers.
        """
        if isinstance(layer, CompressedLstm):
            ends = self._layer(call.output, call.name).ends_for(args[0])
            return {"output_range": ends, **self._bias_step(layer, call, args)}
        if _is_depthwise_in_the_file(layer, call):
            return self._input_step(call, args)
        if not isinstance(layer, CompressedLayer) or layer.quantization is None:
            return {}
        source = self.placement.governing.get(call.inputs[0])
        output_range = self._output_range(layer, call)
        if source not in self._layers or not (layer.rounds_bias or output_range):
            return {}
        steps = {"input_step": self._layers[source].step_for(args[0])}
        if output_range:
            steps["output_step"] = self._layer(*output_range).step_for(args[0])
        return steps

    def _bias_step(self, layer, call, args):
        return self._input_step(call, args) if layer.rounds_bias else {}

    def _input_step(self, call, args):
        """Return the step of a call's input, to round the shift that is a bias in the file."""
        if self.settings.activation_bits > 8:
            return {}
        source = self.placement.governing.get(call.inputs[0])
        if source not in self._layers:
            return {}
        return {"input_step": self._layers[source].step_for(args[0])}

    def rescaled(self, call, args):
        """Rescale the inputs of a concatenation that have ranges of their own, as QUANTIZE does.

        Args:
            call: A call of the graph.
            args: Its arguments, tensors of the new model.

        Returns:
            The arguments, those that have other ranges rescaled.
        """
        if not self.settings.rescales_in_8_bits:
            return args
        if role(call.operation) is not Role.JOIN or not (joined := self._joined_range(call)):
            return args
        step = self._layer(*joined).step_for(keras.tree.flatten(args)[0])

        def rescaled(value, tensor):
            source = self.placement.governing.get(value) if isinstance(value, Value) else None
            if source not in self._layers or source is joined[0]:
                return tensor
            return self._layers[source].rescaled(tensor, step)

        return keras.tree.map_structure(rescaled, call.args, args)

    def _joined_range(self, call):
        """Return the value whose range the inputs of a concatenation share, and its call's name."""
        while call.output not in self.placement.ranges:
            readers = [r for r in call.output.consumers if role(r.operation) is Role.JOIN]
            if not readers:
                return None
            call = readers[0]
        planned = self.placement.ranges[call.output]
        return None if planned.tied_to is not None else (call.output, call.name)

    def _output_range(self, layer, call):
        """Return the value whose range follows a kernel that rounds twice, and its call's name.

        Only convolutions with packed weights round twice; LiteRT's other kernels round once.
        """
        packed = self.settings.packs_int4 and layer.quantization.bits <= 4
        rounds_twice = packed and layer.layer_type.rounds_twice_when_packed
        fusable = (None, "linear", "relu", "relu6")
        if not rounds_twice or activation_name(layer.layer) not in fusable:
            return None
        call = self.placement.folded.get(call, call)
        readers = call.output.consumers
        if call.output not in self.placement.ranges and len(readers) == 1:
            call = readers[0] if role(readers[0].operation) is Role.RELU else call
        planned = self.placement.ranges.get(call.output)
        is_learned = planned is not None and planned.tied_to is None and planned.fixed is None
        is_quantized = self.settings.activation_bits != FLOAT_BITS
        return (call.output, call.name) if is_learned and is_quantized else None


def _is_depthwise_in_the_file(layer, call):
    """Tell whether the file computes a normalization as a depthwise convolution."""
    is_on_maps = isinstance(layer, PhasedNormalization) and len(call.output.shape) == 4
    return is_on_maps or isinstance(layer, NormalizationAffine)


def _fixed_range(fixed, bits):
    """Return the fixed range of an operator's output, or of bytes.

    At 16 bits the scale of an operator's output is 1/32768, so the range ends just below one, and
    bytes have a range like all else.
    """
    if fixed is None or bits != 16:
        return fixed
    return None if fixed in BYTE_RANGES.values() else (-32767 / 32768, 32767 / 32768)
