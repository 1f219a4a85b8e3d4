"""Turn a compressed model into the plain model that the converter lowers.

In the plain model every kernel lies on its grid, BatchNormalization is folded into the kernel
before it, and every learned range is a fake-quantization operator in the graph, which TensorFlow's
converter turns into the scale and zero point of that tensor.
"""

import dataclasses

import keras
import numpy as np

from keras_compress.compression.apply import strip
from keras_compress.converters import deployed_layers
from keras_compress.converters.promises import (
    DeployedKernel,
    deployed_bias,
    deployed_kernel,
    deployed_kernels,
)
from keras_compress.converters.trained_lstm import TrainedLstm
from keras_compress.errors import ConversionError
from keras_compress.graph.graph import Value, all_layers, trace
from keras_compress.graph.replay import rebuild
from keras_compress.lowering.attention_layers import AttentionProjection
from keras_compress.quantization.fake_quant import fake_quantize_activations
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer, arguments_of_layer
from keras_compress.wrappers.compressed_lstm import CellRange, CompressedLstm
from keras_compress.wrappers.copies import LayerCopies
from keras_compress.wrappers.phase import Phase
from keras_compress.wrappers.phased_normalization import PhasedNormalization


@dataclasses.dataclass(frozen=True, eq=False)
class Deployable:
    """A model ready for the converter, and what its file must contain.

    Args:
        model: Plain functional `keras.Model` with the batch size of the file, or a free one.
        quantized: Whether its graph includes learned ranges.
        kernels: What the file must hold for each compressed kernel.
        input_ranges: Learned (minimum, maximum) of each input, by name.
        activation_bits: Bit width that the activations were trained with, or `None`.
        per_channel: Whether convolutions were trained with a scale for each channel, or `None`.
        per_channel_dense: The same for Dense layers.
    """

    model: keras.Model
    quantized: bool = False
    kernels: tuple[DeployedKernel, ...] = ()
    input_ranges: dict = dataclasses.field(default_factory=dict)
    activation_bits: int | None = None
    per_channel: bool | None = None
    per_channel_dense: bool | None = None


@keras.saving.register_keras_serializable(package="keras_compress")
class FixedQuantizer(keras.layers.Layer):
    """Rounds its input to the grid of a fixed range.

    Args:
        minimum: Lower end of the range.
        maximum: Upper end of the range.
        bits: Bit width, 8 or 16.
    """

    def __init__(self, minimum, maximum, bits=8, **kwargs):
        super().__init__(**kwargs)
        self.minimum, self.maximum, self.bits = float(minimum), float(maximum), bits
        self.supports_masking = True

    def call(self, inputs):
        """Round the inputs."""
        return fake_quantize_activations(inputs, self.minimum, self.maximum, self.bits)

    def compute_output_spec(self, inputs):
        """Return the input's shape and dtype."""
        # Keras 3.15 takes a tensor times a number for sparse, and would build with sparse inputs.
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"minimum": self.minimum, "maximum": self.maximum, "bits": self.bits}
        return {**super().get_config(), **own}


def prepare(model, batch_size=1, ranges=True):
    """Make the plain model that the converter lowers.

    Args:
        model: A Sequential or functional model, compressed or plain.
        batch_size: Batch size of the file; `None` leaves it free and does not copy a plain model.
        ranges: Whether the graph includes the learned ranges; otherwise activations stay in
            float.

    Returns:
        A `Deployable`.

    Raises:
        ConversionError: The model is quantized and its ranges were never observed, or clustered
            and its clustering has not begun.
        UnsupportedModelError: The model has no graph.
    """
    graph = trace(model)
    layers = all_layers(model)
    wrappers = [layer for layer in layers if isinstance(layer, CompressedLayer)]
    quantizers = [layer for layer in layers if isinstance(layer, ActivationQuantizer)]
    _check_clustered(model, wrappers)
    if not quantizers and not any(wrapper.quantization for wrapper in wrappers):
        plain = _stripped(model, graph, wrappers)
        if batch_size is not None:
            plain = _with_batch_size(plain, batch_size)
        return Deployable(plain, kernels=deployed_kernels(wrappers, {}))
    quantizers = quantizers if ranges else []
    _check_observed(model, wrappers, quantizers)
    steps = _input_steps(graph) if ranges else {}
    return Deployable(
        _deployed_model(graph, batch_size, ranges, steps),
        quantized=bool(quantizers),
        kernels=deployed_kernels(wrappers, steps),
        input_ranges=_input_ranges(model),
        activation_bits=_activation_bits(quantizers),
        per_channel=_common_granularity(wrappers, dense=False),
        per_channel_dense=_common_granularity(wrappers, dense=True),
    )


def _activation_bits(quantizers):
    return next((q.bits for q in quantizers if not isinstance(q, CellRange)), None)


def _stripped(model, graph, wrappers):
    """Return the plain model; attentions stay lowered, as the file holds the kernels of parts."""
    if any(isinstance(wrapper.layer, AttentionProjection) for wrapper in wrappers):
        return _deployed_model(graph, batch_size=None, ranges=False, input_steps={})
    return strip(model) if wrappers else model


def _common_granularity(wrappers, dense):
    """Return whether all layers of a kind were trained per channel; `None` if there are none."""
    per_channel = [
        wrapper.quantization.per_channel
        for wrapper in wrappers
        if wrapper.quantization and isinstance(wrapper.layer, keras.layers.Dense) == dense
    ]
    return all(per_channel) if per_channel else None


def _check_clustered(model, wrappers):
    codebooks = [codebook for wrapper in wrappers for codebook in wrapper.codebooks.values()]
    inactive = [codebook.name for codebook in codebooks if codebook.phase == Phase.OFF]
    if inactive:
        raise ConversionError(
            f"Clustering of {model.name} has not begun: {len(inactive)} of {len(codebooks)} "
            "kernels have no shared values yet. Train it with kc.ClusteringCallback, past its "
            "begin_step, or convert kc.strip(model). "
            f"Received: first kernel without shared values {inactive[0]}"
        )


def _check_observed(model, wrappers, quantizers):
    unobserved = [layer.name for layer in quantizers if not layer.observed]
    quantized = [*quantizers, *(wrapper for wrapper in wrappers if wrapper.quantization)]
    in_float = [layer.name for layer in quantized if layer.phase == Phase.OFF]
    if unobserved or in_float:
        first_in_float = (unobserved or in_float)[0]
        raise ConversionError(
            f"Quantization of {model.name} has not begun: {len(unobserved)} of {len(quantizers)} "
            "ranges were never observed, or restored weights are from before begin_step. Train it "
            "past QuantizationCallback's begin_step and keep weights of later epochs, or convert "
            "kc.strip(model) with post-training calibration. "
            f"Received: first layer in float {first_in_float}"
        )


def _input_steps(graph):
    """Return the step of each wrapper's input, where all its calls read the same 8-bit grid."""
    quantizers_of: dict[CompressedLayer, set] = {}
    for call in graph.calls:
        step = call.kwargs.get("input_step")
        if isinstance(call.operation, CompressedLayer):
            quantizer = None if step is None else step.producer.operation
            quantizers_of.setdefault(call.operation, set()).add(quantizer)
    return {
        wrapper: quantizer.step
        for wrapper, (quantizer, *others) in quantizers_of.items()
        if quantizer is not None and not others and quantizer.bits <= 8
    }


def _with_batch_size(model, batch_size):
    copies = LayerCopies()

    def apply(call, args, kwargs):
        return args[0] if isinstance(call, Value) else copies.plain(call.operation)(*args, **kwargs)

    fixed = rebuild(trace(model), apply, batch_size=batch_size)
    copies.copy_weights()
    return fixed


def _deployed_model(graph, batch_size, ranges, input_steps):
    copies = LayerCopies(reserved={call.name for call in graph.calls})
    weights = []

    def apply(call, args, kwargs):
        if isinstance(call, Value):
            return args[0]
        operation = call.operation
        if isinstance(operation, ActivationQuantizer):
            if not ranges or operation.stores_nothing(kwargs):
                return args[0]
            return _fixed(operation, copies.free_name(operation.name))(args[0])
        if isinstance(operation, CompressedLstm) and ranges:
            place = copies.custom(operation, lambda name: TrainedLstm(operation, name))
            return place(args[0])
        if isinstance(operation, CompressedLayer) and not _is_rounded(operation):
            return copies.stripped(operation)(args[0], **arguments_of_layer(kwargs))
        if isinstance(operation, CompressedLayer):
            layer = copies.custom(operation, lambda name: _deployed_layer(operation, name))
            weights.append((layer, operation))
            outputs = layer(args[0])
            if isinstance(operation.layer, keras.layers.Embedding) and operation.quantization:
                outputs = _on_table_grid(operation, copies.free_name(f"{layer.name}_grid"))(outputs)
            return outputs
        if isinstance(operation, PhasedNormalization):
            operation = operation.layer
        if layer := deployed_layers.replacement(operation, call, copies, ranges):
            return layer(*args)
        return copies.plain(operation)(*args, **kwargs)

    model = rebuild(graph, apply, batch_size=batch_size)
    copies.copy_weights()
    for layer, source in weights:
        _set_weights(layer, source, input_steps.get(source))
    return model


def _is_rounded(wrapper):
    """Return whether a wrapper changes more of its layer than zeros and shared values."""
    return wrapper.layer_type.is_quantized or wrapper.batch_norm is not None


def _fixed(quantizer, name):
    if quantizer.bits == 16:
        # The converter accepts no 16-bit fake-quantization; calibration measures these ranges.
        return lambda inputs: inputs
    minimum, maximum = quantizer.range
    return FixedQuantizer(minimum, maximum, bits=quantizer.bits, name=name)


def _on_table_grid(wrapper, name):
    """Put looked-up rows on the grid of their table: GATHER has one scale for both."""
    (kernel,) = wrapper.kernels
    step = float(np.max(wrapper.scale(kernel)))
    return FixedQuantizer(-128 * step, 127 * step, name=name)


def _deployed_layer(wrapper, name):
    config = {**wrapper.layer.get_config(), "name": name}
    if isinstance(wrapper.layer, AttentionProjection):
        config["factor"] = 1.0
    if wrapper.batch_norm is not None:
        config["use_bias"] = True
    return type(wrapper.layer).from_config(config)


def _set_weights(layer, source, input_step):
    for kernel in source.kernels:
        kernel.variable(layer).assign(deployed_kernel(source, kernel))
    bias = deployed_bias(source, input_step)
    if bias is not None:
        layer.bias.assign(bias)


def _input_ranges(model):
    graph = trace(model)
    ranges = {}
    for value, layer in zip(graph.flat_inputs, graph.input_layers, strict=True):
        for reader in value.consumers:
            if isinstance(reader.operation, ActivationQuantizer):
                ranges[layer.name] = reader.operation.range
    return ranges
