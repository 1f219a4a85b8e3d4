"""Replace affine layers, and parts of attention and LayerNormalization, for deployment.

A layer that multiplies each channel by a factor and adds an offset becomes one depthwise
convolution, which has a scale for each channel. Left as a MUL and an ADD, each would have a single
scale, and the converter would put a DEQUANTIZE and a QUANTIZE before the first operation of a
Normalization or a Rescaling.

A tensor that is multiplied by itself, or added to itself, is a feature map there: see
`MergedWithItself`.
"""

import math

import keras
import numpy as np

from keras_compress.layers import operations
from keras_compress.layers.base import batch_norm_affine
from keras_compress.lowering.attention_layers import AttentionMask
from keras_compress.lowering.normalization_layers import NormalizationAffine, NormalizationStep
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer

_SEQUENCES = (
    keras.layers.Conv1D,
    keras.layers.Conv1DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.SeparableConv1D,
    keras.layers.AveragePooling1D,
    keras.layers.MaxPooling1D,
)


class Reshape(keras.layers.Reshape):
    """A `Reshape` whose batch stays free: -1 in the file, where Keras' layer has a number."""

    def call(self, inputs):
        """Reshape the inputs."""
        return keras.ops.reshape(inputs, (-1, *self.target_shape))


class MergedWithItself(keras.layers.Layer):
    """Computes x * x or x + x, behind a Conv1D as of a feature map of height one.

    TensorFlow's converter moves the RESHAPE at the end of a Conv1D behind an operation that reads
    its result twice, where the learned range of the convolution contradicts that of the
    operation. A second RESHAPE cancels the first.

    Args:
        function: `keras.ops.multiply` or `keras.ops.add`.
        on_maps: Whether the inputs end with such a RESHAPE.
        name: Name of the layer that it replaces.
    """

    def __init__(self, function, on_maps, *, name):
        super().__init__(name=name)
        self._function, self._on_maps = function, on_maps

    def call(self, inputs):
        """Merge the inputs with themselves."""
        if not self._on_maps:
            return self._function(inputs, inputs)
        maps = keras.ops.reshape(inputs, (-1, 1, *inputs.shape[1:]))
        return keras.ops.reshape(self._function(maps, maps), (-1, *inputs.shape[1:]))


def replacement(part, call, copies, ranges):
    """Return what replaces a layer in the deployed model.

    Args:
        part: A layer of the compressed model.
        call: The `Call` of the layer, or of the wrapper around it.
        copies: The `LayerCopies` of the deployed model.
        ranges: Whether the deployed graph includes the learned ranges.

    Returns:
        A function of the call's tensors; `None` for a layer that is deployed unchanged.
    """
    shape = call.outputs[0].shape
    if is_affine(part, shape):
        depthwise = copies.custom(part, lambda name: as_depthwise(part, shape[-1], name))
        return lambda inputs: on_maps(depthwise, inputs, copies)
    if isinstance(part, NormalizationStep) and part.step == "inverse_root":
        # A variance of zero needs no epsilon: the integer operator saturates at its largest value.
        return copies.custom(part, lambda name: _changed(part, name, epsilon=0.0))
    if isinstance(part, AttentionMask) and ranges:
        return copies.custom(part, lambda name: _changed(part, name, score=_lower_end(call)))
    if ranges and (function := _merge_with_itself(part, call)):
        source, *_ = call.inputs
        reshaped = _ends_with_reshape(source)
        merged = MergedWithItself(function, reshaped, name=copies.free_name(part.name))
        return lambda *args: merged(keras.tree.flatten(args)[0])
    return None


def _merge_with_itself(part, call):
    """Return the operation that a call applies to one tensor twice; `None` for other calls."""
    form = operations.of(part).form
    if form == "square" or (form == "power" and call.args[1:] == (2,)):
        return keras.ops.multiply
    if len(call.inputs) != 2:
        return None
    first, second = call.inputs
    if first is not second:
        return None
    return {"product": keras.ops.multiply, "sum": keras.ops.add}.get(form or "")


def _ends_with_reshape(value):
    """Return whether a value comes from a layer that TensorFlow computes on feature maps."""
    while (producer := value.producer) is not None:
        layer = producer.operation
        if isinstance(layer, CompressedLayer):
            layer = layer.layer
        if isinstance(layer, _SEQUENCES):
            return True
        is_step = isinstance(layer, ActivationQuantizer)
        if not is_step and operations.of(layer).propagation != "elementwise":
            return False
        value, *_ = producer.inputs
    return False


def _lower_end(call):
    """Return the lower end of the range of a call's output: the file has one grid for both."""
    (quantizer,) = {reader.operation for reader in call.output.consumers}
    return quantizer.range[0]


def _changed(layer, name, **config):
    return type(layer).from_config({**layer.get_config(), "name": name, **config})


def is_affine(layer, shape):
    """Return whether a layer multiplies each channel by a factor and adds an offset.

    Args:
        layer: A Keras layer or operation.
        shape: Shape of its outputs: (batch, ..., channels).

    Returns:
        Whether `as_depthwise` accepts the layer.
    """
    if isinstance(layer, keras.layers.BatchNormalization):
        return len(shape) == 4 and layer.axis in (-1, 3)
    if None in shape[1:]:
        return False
    if isinstance(layer, NormalizationAffine):
        return bool(layer.weights)
    if isinstance(layer, keras.layers.Rescaling):
        factors = np.broadcast_shapes(np.shape(layer.scale), np.shape(layer.offset))
        return factors in ((), (shape[-1],))
    if isinstance(layer, keras.layers.Normalization):
        return set(layer.axis) <= {-1, len(shape) - 1} and not layer.invert
    return False


def as_depthwise(layer, channels, name):
    """Return a depthwise 1x1 convolution that computes the same as an affine layer.

    Args:
        layer: A layer for which `is_affine` holds.
        channels: Number of channels of its outputs.
        name: Name of the convolution, whose inputs are feature maps: see `on_maps`.

    Returns:
        A built `keras.layers.DepthwiseConv2D`.
    """
    factor, offset = (np.broadcast_to(values, channels) for values in _affine(layer))
    depthwise = keras.layers.DepthwiseConv2D(1, name=name)
    depthwise.build((None, None, None, channels))
    depthwise.set_weights([factor.reshape(1, 1, -1, 1), offset])
    return depthwise


def on_maps(layer, inputs, copies):
    """Call a layer that takes (batch, height, width, channels) on a tensor of any rank."""
    shape = tuple(inputs.shape)
    if len(shape) == 4:
        return layer(inputs)
    sizes = (1, math.prod(shape[1:-1]), shape[-1]), shape[1:]
    # Keras' counter of names knows nothing of layers that were loaded from a file.
    maps, back = (copies.added(lambda s=size: Reshape(s)) for size in sizes)
    return back(layer(maps(inputs)))


def _affine(layer):
    """Return the factor and the offset, one for each channel or one for all."""
    if isinstance(layer, keras.layers.Rescaling):
        return np.float32(layer.scale), np.float32(layer.offset)
    if isinstance(layer, keras.layers.Normalization):
        deviation = np.sqrt(np.asarray(layer.variance, "float32")).ravel()
        factor = 1 / np.maximum(deviation, keras.config.epsilon())
        return factor, -np.asarray(layer.mean, "float32").ravel() * factor
    if isinstance(layer, NormalizationAffine):
        gamma = 1.0 if layer.gamma is None else np.asarray(layer.gamma)
        beta = 0.0 if layer.beta is None else np.asarray(layer.beta)
        return gamma, beta
    return tuple(np.asarray(values) for values in batch_norm_affine(layer))
