"""Write trained weight scales into a flatbuffer.

TensorFlow's converter derives the scale of a weight from its largest magnitude, at 8 bits. Weights
that were trained on another grid (fewer bits, a learned or optimised step) would be rounded a
second time. So the integers and scales of such weights, and the bias that depends on them, are
written into the file after conversion.
"""

from typing import Any, NamedTuple

import numpy as np

from keras_compress.errors import ConversionError
from keras_compress.tflite import operators
from keras_compress.tflite._reader import schema
from keras_compress.tflite.editor import pack, unpack
from keras_compress.tflite.operators import OperandRole

# Operators that LiteRT 2.3.0 computes correctly with packed weights, with float activations or
# with integer ones. It refuses TRANSPOSE_CONV.
_TAKE_INT4_BESIDE_FLOAT = ("CONV_2D", "FULLY_CONNECTED")
_TAKE_INT4 = (*_TAKE_INT4_BESIDE_FLOAT, "DEPTHWISE_CONV_2D")


def carry_scales(content, kernels, int4=False):
    """Write the trained scales of weights into a converted file.

    Args:
        content: Bytes of a `.tflite` file with integer weights.
        kernels: `DeployedKernel`s of the original model whose grid the converter does not choose
            by itself: those with scales of their own or with one scale.
        int4: Whether weights of at most 4 bits are stored packed, two per byte, in the operators
            that support it. Otherwise they are stored one per byte, which every int8 runtime
            accepts.

    Returns:
        Bytes of the file with the trained scales.

    Raises:
        ConversionError: The weights of a kernel were not found in the file.
    """
    editor = _Editor(content)
    for kernel in kernels:
        sites = editor.sites(kernel)
        if not kernel.has_scales_of_its_own:
            # The converter makes a scale per channel if the ranges are part of the graph.
            sites = [site for site in sites if len(site.weights.quantization.scale) > 1]
        elif not sites and not editor.holds_in_float(kernel):
            raise _not_found(kernel)
        for site in sites:
            editor.write(site, kernel, pack=int4 and kernel.bits <= 4)
    return editor.pack()


def integers(kernel):
    """Return the integers of a kernel on its trained grid, as int8, in the TFLite layout.

    Args:
        kernel: A `DeployedKernel` with scales.
    """
    return np.round(kernel.weights / _broadcast(kernel.scales, kernel)).astype(np.int8)


def _broadcast(scales, kernel):
    scales = np.where(scales > 0, scales, 1.0)
    shape = [-1 if kernel.is_channel(axis) else 1 for axis in range(kernel.weights.ndim)]
    return np.reshape(scales, shape)


def _not_found(kernel):
    return ConversionError(
        f"The weights of layer {kernel.layer} were not found in the converted file, so "
        f"their {kernel.bits}-bit scales cannot be written into it. Train this layer "
        "with 8 bits and the abs_max quantizer. "
        f"Received: a kernel of shape {kernel.weights.shape}"
    )


class _Site(NamedTuple):
    """One operator that reads a kernel, and its tensors."""

    operator: str
    source: Any
    weights: Any
    bias: Any

    @property
    def is_float(self):
        """Whether the operator's activations are in float."""
        return self.source.quantization.scale is None

    @property
    def takes_int4(self):
        """Whether the operator supports packed weights."""
        return self.operator in (_TAKE_INT4_BESIDE_FLOAT if self.is_float else _TAKE_INT4)


class _Editor:
    """A flatbuffer, unpacked into objects, edited, and packed again."""

    def __init__(self, content):
        self.schema = schema()
        self.model = unpack(content)
        codes = {
            value: name
            for name, value in vars(self.schema.BuiltinOperator).items()
            if not name.startswith("_")
        }
        self.names = [
            codes[max(code.builtinCode, code.deprecatedBuiltinCode)]
            for code in self.model.operatorCodes
        ]

    def write(self, site, kernel, pack):
        """Write a kernel's integers and scales, and its bias in their units."""
        self._write_weights(site.weights, kernel, pack and site.takes_int4)
        if site.bias is not None and not site.is_float:
            scales = np.array(site.weights.quantization.scale)
            self._write_bias(site.source, site.bias, scales, kernel.bias)

    def pack(self):
        return pack(self.model)

    def sites(self, kernel):
        """Return the places where the file holds a kernel."""
        sites: list[_Site] = []
        for graph in self.model.subgraphs:
            for operator in graph.operators:
                # GATHER does not count: it passes the integers of an embedding on, so that their
                # scale is also that of the operators that read them.
                row = operators.row(self.names[operator.opcodeIndex])
                if not row.has_integer_weights:
                    continue
                site = _Site(row.name, *_tensors(graph, operator, row))
                listed = any(site.weights is other.weights for other in sites)
                if site.weights is not None and not listed and self._holds(site.weights, kernel):
                    sites.append(site)
        return sites

    def holds_in_float(self, kernel):
        """Return whether a float tensor holds the kernel, whose values lie on its grid there too.

        TensorFlow's converter leaves small weights in float in dynamic-range quantization.
        """
        for graph in self.model.subgraphs:
            for tensor in graph.tensors:
                data = self.model.buffers[tensor.buffer].data
                if tensor.type != self.schema.TensorType.FLOAT32 or data is None:
                    continue
                values = np.asarray(data, np.uint8).view(np.float32)
                if np.array_equal(values, np.float32(kernel.weights).ravel()):
                    return True
        return False

    def _holds(self, tensor, kernel):
        """Return whether a tensor holds the kernel, rounded to the converter's own 8-bit grid."""
        data = self.model.buffers[tensor.buffer].data
        if tensor.type != self.schema.TensorType.INT8 or data is None:
            return False
        if len(data) != kernel.weights.size:
            return False
        scales = np.array(tensor.quantization.scale)
        stored = np.asarray(data, np.uint8).view(np.int8).reshape(tensor.shape)
        channel_axis = tensor.quantization.quantizedDimension
        per_channel = scales.size > 1
        shape = [-1 if per_channel and axis == channel_axis else 1 for axis in range(stored.ndim)]
        scales = scales.reshape(shape)
        error = np.abs(stored * scales - kernel.weights.reshape(stored.shape))
        return bool((error <= 0.51 * scales).all())

    def _write_weights(self, tensor, kernel, pack):
        values = integers(kernel)
        scales = kernel.scales
        if np.ndim(scales):
            # A channel of zeros keeps the converter's scale, which matches its bias.
            axes = tuple(axis for axis in range(values.ndim) if axis != kernel.channel_axis)
            scales = np.where(values.any(axis=axes), scales, tensor.quantization.scale)
        tensor.quantization.scale = np.atleast_1d(scales).astype(np.float32)
        tensor.quantization.zeroPoint = np.zeros(np.size(kernel.scales), np.int64)
        per_channel = np.size(kernel.scales) > 1
        file_axis = kernel.channel_axis + len(tensor.shape) - values.ndim
        tensor.quantization.quantizedDimension = max(file_axis, 0) if per_channel else 0
        if kernel.channel_axis == 0:
            tensor.quantization.quantizedDimension = 0
        data = values.ravel().view(np.uint8)
        if pack:
            tensor.type = self.schema.TensorType.INT4
            data = _packed(values.ravel())
        tensor.buffer = self._replace(tensor.buffer, data)

    def _write_bias(self, source, bias, scales, trained):
        """Round a bias to its new step: the trained one, unless the converter changed it."""
        stored = np.asarray(self.model.buffers[bias.buffer].data, np.uint8)
        wide = bias.type == self.schema.TensorType.INT64
        kind = np.int64 if wide else np.int32
        old_step = np.array(bias.quantization.scale, np.float64)
        real = stored.view(kind).astype(np.float64) * old_step
        if np.shape(trained) == real.shape and (np.abs(trained - real) <= old_step).all():
            real = trained
        step = float(source.quantization.scale[0]) * scales.astype(np.float64)
        info = np.iinfo(np.int32)
        values = np.clip(np.round(real / step), info.min, info.max).astype(kind)
        bias.quantization.scale = np.broadcast_to(step, np.shape(scales)).astype(np.float32)
        bias.quantization.zeroPoint = np.zeros(np.size(scales), np.int64)
        bias.buffer = self._replace(bias.buffer, values.view(np.uint8))

    def _replace(self, index, data):
        """Put data into a buffer, or into a new one if other tensors read the old one."""
        readers = sum(
            tensor.buffer == index for graph in self.model.subgraphs for tensor in graph.tensors
        )
        if readers > 1:
            self.model.buffers.append(self.schema.BufferT())
            index = len(self.model.buffers) - 1
        self.model.buffers[index].data = np.ascontiguousarray(data, np.uint8)
        return index


def _tensors(graph, operator, row):
    """Yield the data, weights and bias of an operator, `None` for any that it does not have."""
    for role in (OperandRole.DATA, OperandRole.WEIGHTS, OperandRole.BIAS):
        position = row.position(role)
        present = position < len(operator.inputs) and operator.inputs[position] >= 0
        yield graph.tensors[operator.inputs[position]] if present else None


def _packed(values):
    """Pack two 4-bit values into each byte, the first in the low half."""
    nibbles = (values.astype(np.int8).view(np.uint8) & 0x0F).astype(np.uint8)
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    return nibbles[0::2] | (nibbles[1::2] << 4)
