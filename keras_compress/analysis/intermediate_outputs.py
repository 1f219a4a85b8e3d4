"""The tensors of a Keras model that its TFLite file holds too."""

import dataclasses

import keras
import numpy as np

from keras_compress.compression.apply import compress
from keras_compress.graph.graph import all_layers, trace
from keras_compress.graph.replay import replay
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import Phase


@dataclasses.dataclass(frozen=True, eq=False)
class IntermediateOutput:
    """One tensor that has a range.

    Args:
        name: The layer that makes it, or the input.
        shape: Shape of one sample.
        quantizer: Its `ActivationQuantizer`.
        kernel: The `CompressedLayer` that it is the output of, maybe through a ReLU; or `None`.
        is_input: Whether it is an input of the model.
    """

    name: str
    shape: tuple
    quantizer: ActivationQuantizer
    kernel: CompressedLayer | None
    is_input: bool

    @property
    def layer(self):
        """The layer that computes it: that of the kernel before a folded or fused layer."""
        return self.name if self.kernel is None else self.kernel.name


class ObservableModel:
    """A compressed model whose intermediate outputs can be read, quantized or in float.

    Args:
        model: A model that `kc.compress` returned, with quantization.

    Attributes:
        graph: Its `Graph`.
        intermediate_outputs: Its `IntermediateOutput`s, in the order of the calls.
    """

    def __init__(self, model):
        self.model = model
        self.graph = trace(model)
        kinds = ActivationQuantizer | CompressedLayer
        self._phased = [layer for layer in all_layers(model) if isinstance(layer, kinds)]
        self._phases = {layer: layer.phase for layer in self._phased}
        names = _input_names(self.graph)
        self.intermediate_outputs = tuple(
            IntermediateOutput(
                name=names.get(call.inputs[0]) or call.inputs[0].producer.name,
                shape=tuple(call.output.shape[1:]),
                quantizer=call.operation,
                kernel=_kernel_before(call),
                is_input=call.inputs[0] in names,
            )
            for call in self._observed_calls()
        )

    def observed_calls(self):
        """Return the pairs of a call of a quantizer and its `IntermediateOutput`."""
        return list(zip(self._observed_calls(), self.intermediate_outputs, strict=True))

    @classmethod
    def of(cls, model, quantization):
        """Return the observable copy of a plain model.

        Args:
            model: A plain Keras model.
            quantization: A `Quantization` or a profile's name.
        """
        return cls(compress(model, quantization=quantization))

    @property
    def kernels(self):
        """The `CompressedLayer`s."""
        return [layer for layer in self._phased if isinstance(layer, CompressedLayer)]

    def set_phases(self, quantized):
        """Round in some layers and compute in float in all others.

        Args:
            quantized: The layers to round in; `None` stands for all, as the model was.
        """
        for layer in self._phased:
            on = quantized is None or layer in quantized
            before = self._phases[layer]
            on_phase = Phase.FROZEN if before == Phase.OFF else before
            layer.set_phase(on_phase if on else Phase.OFF)

    def outputs(self, inputs):
        """Return the outputs as float arrays.

        Args:
            inputs: One array for each input, in the model's order.
        """
        return self.values_and_outputs(inputs)[1]

    def values(self, inputs):
        """Return the array of each output, in the order of `intermediate_outputs`.

        Args:
            inputs: One array for each input, in the model's order.
        """
        return self.values_and_outputs(inputs)[0]

    def values_and_outputs(self, inputs):
        """Return the lists of `values` and of `outputs`, of one pass.

        Args:
            inputs: One array for each input, in the model's order.
        """
        values = replay(self.graph, map(keras.ops.convert_to_tensor, inputs))
        observed = [np.asarray(values[call.output]) for call in self._observed_calls()]
        return observed, [np.asarray(values[value]) for value in self.graph.flat_outputs]

    def _observed_calls(self):
        return [
            call
            for call in self.graph.calls
            if isinstance(call.operation, ActivationQuantizer)
            and not call.operation.stores_nothing(call.kwargs)
        ]


def _input_names(graph):
    layers = zip(graph.flat_inputs, graph.input_layers, strict=True)
    return {value: layer.name for value, layer in layers}


def _kernel_before(call):
    """Return the wrapper whose output has this range, through operations of one input."""
    maker = call.inputs[0].producer
    while maker is not None and not isinstance(maker.operation, CompressedLayer):
        if isinstance(maker.operation, ActivationQuantizer) or len(maker.inputs) != 1:
            return None
        maker = maker.inputs[0].producer
    return None if maker is None else maker.operation
