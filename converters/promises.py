"""What a converted file must hold for each kernel: weights, scales, zeros and bias."""

import dataclasses

import keras
import numpy as np

from keras_compress.converters.rewrites.base import Rewritten
from keras_compress.converters.sequence_lstm import SequenceLstm
from keras_compress.graph.graph import all_layers, trace
from keras_compress.layers import base as layer_types
from keras_compress.layers.base import batch_norm_affine

_CONVERTER_LIMIT = 127


@dataclasses.dataclass(frozen=True, eq=False)
class DeployedKernel:
    """What the file must hold for one kernel of a compressed model.

    Args:
        layer: Name of its layer.
        weights: The float weights in the TFLite layout, folded and, where quantized, on the grid.
        channel_axis: Axis of the output channels in that layout.
        mask: Boolean array of the same shape, true where a weight is kept; `None` if not pruned.
        bits: Bit width of the stored integers, or `None` for a kernel that was not quantized.
        scales: Step of each channel, or of the whole kernel; `None` if not quantized.
        bias: Float bias of each output channel, folded; `None` where the layer has none.
        pattern: The pruning pattern, or `None`.
        clusters: Largest number of values that a channel may hold; `None` if not clustered.
        one_codebook: Whether `clusters` limits the whole kernel, if the file has one scale for it.
        placed: Whether the file holds the weights in this layout, as one tensor.
    """

    layer: str
    weights: np.ndarray
    channel_axis: int
    mask: np.ndarray | None = None
    bits: int | None = None
    scales: np.ndarray | None = None
    bias: np.ndarray | None = None
    pattern: object = None
    clusters: int | None = None
    one_codebook: bool = False
    placed: bool = True

    @property
    def has_scales_of_its_own(self) -> bool:
        """Whether TensorFlow's converter would choose another scale than the trained one.

        It derives the scale of a channel from its largest magnitude, at 8 bits.
        """
        if self.bits is None or self.scales is None:
            return False
        axes = tuple(axis for axis in range(self.weights.ndim) if not self.is_channel(axis))
        largest = np.abs(self.weights).max(axis=axes)
        equal = np.isclose(self.scales, largest / _CONVERTER_LIMIT, rtol=1e-4)
        return not np.all(equal | (largest == 0))

    @property
    def has_one_scale(self) -> bool:
        """Whether one scale serves all channels of a quantized kernel."""
        return self.bits is not None and self.scales is not None and np.ndim(self.scales) == 0

    def cut(self, count: int) -> "tuple[DeployedKernel, ...]":
        """Return equal parts along the first axis, each of which the file holds as a tensor."""
        masks = [None] * count if self.mask is None else np.split(self.mask, count)
        return tuple(
            dataclasses.replace(self, weights=weights, mask=mask, placed=True)
            for weights, mask in zip(np.split(self.weights, count), masks, strict=True)
        )

    def is_channel(self, axis: int) -> bool:
        """Return whether an axis of the weights is that of channels with a scale each."""
        has_scales = self.scales is not None and np.ndim(self.scales) == 1
        return has_scales and axis == self.channel_axis


@dataclasses.dataclass(frozen=True, eq=False)
class ExpectedZeros:
    """The zeros of one kernel.

    Args:
        layer: Name of the layer; a layer of a nested model has the path `"outer/inner"`.
        zeros: Boolean array, true where the weight is zero.
        placed: Whether the array has the layout of the file, so that positions can be compared;
            otherwise only the number of zeros is.
    """

    layer: str
    zeros: np.ndarray
    placed: bool = True


def deployed_kernels(wrappers, input_steps):
    """Return what the file must hold for all kernels.

    Args:
        wrappers: Built `CompressedLayer`s.
        input_steps: Dict from a wrapper to the step of its input's grid, where it is known.

    Returns:
        Tuple of `DeployedKernel`.
    """
    return tuple(
        _described(wrapper, kernel, input_steps.get(wrapper))
        for wrapper in wrappers
        for kernel in wrapper.kernels
    )


def deployed_kernel(wrapper, kernel):
    """Return a kernel of a wrapper as it is deployed, in Keras layout.

    Args:
        wrapper: A built `CompressedLayer`.
        kernel: One of its `kernels`.

    Returns:
        Float array: masked, on its grid, folded.
    """
    weights = keras.ops.convert_to_numpy(wrapper.effective_kernel(kernel)) * np.float32(
        _factor(wrapper)
    )
    if wrapper.batch_norm is None:
        return weights
    return wrapper.layer_type.fold(weights, np.asarray(batch_norm_affine(wrapper.batch_norm)[0]))


def deployed_bias(wrapper, input_step):
    """Return the bias of a wrapper as it is deployed.

    It is a multiple of the accumulator's step where that is known. Otherwise, at 70,000 steps from
    zero, a converter that adds in another order would sometimes round to another integer.

    Args:
        wrapper: A built `CompressedLayer`.
        input_step: Step of its input's grid, or `None`.

    Returns:
        Float array (channels,), folded; `None` where the layer has no bias.
    """
    bias = wrapper.folded_bias()
    if bias is not None and input_step is not None and wrapper.rounds_bias:
        bias = bias + wrapper.bias_rounding(input_step)
    return None if bias is None else np.asarray(bias) * np.float32(_factor(wrapper))


def _described(wrapper, kernel, input_step):
    settings = wrapper.quantization
    weights = kernel.to_deployed(deployed_kernel(wrapper, kernel))
    return DeployedKernel(
        layer=wrapper.name,
        weights=weights,
        channel_axis=kernel.deployed_channel_axis,
        mask=_mask(wrapper, kernel),
        bits=None if settings is None else settings.quantizer.stored_bits(wrapper.weight_bits),
        scales=None if settings is None else _scales(wrapper, kernel),
        bias=deployed_bias(wrapper, input_step),
        pattern=None if wrapper.pruning is None else wrapper.pruning.pattern,
        placed=kernel.has_layout,
        **_clusters(wrapper, kernel),
    )


def _clusters(wrapper, kernel):
    codebook = wrapper.codebooks.get(kernel.attribute)
    if codebook is None:
        return {}
    # Folding gives every channel values of its own.
    shared = codebook.groups == 1 and wrapper.quantization and wrapper.batch_norm is None
    return {"clusters": codebook.clusters, "one_codebook": bool(shared)}


def _scales(wrapper, kernel):
    """Return the scales of the folded kernel's grid."""
    shape = wrapper.variable(kernel).shape
    steps = np.broadcast_to(keras.ops.convert_to_numpy(wrapper.scale(kernel)), shape) * np.float32(
        _factor(wrapper)
    )
    per_channel = wrapper.quantization.per_channel and kernel.per_channel
    if not per_channel:
        return steps.flat[0]
    if wrapper.batch_norm is not None:
        steps = wrapper.layer_type.fold(steps, np.abs(batch_norm_affine(wrapper.batch_norm)[0]))
    steps = np.moveaxis(kernel.to_deployed(steps), kernel.deployed_channel_axis, 0)
    return steps.reshape(len(steps), -1).max(axis=1)


def _mask(wrapper, kernel):
    for prunable in wrapper.prunable_kernels:
        if prunable.kernel == kernel:
            return kernel.to_deployed(keras.ops.convert_to_numpy(prunable.mask)) > 0
    return None


def _factor(wrapper):
    """Return the factor of a layer's outputs, by which its weights are multiplied in the file."""
    return getattr(wrapper.layer, "factor", 1.0)


def expected_zeros(deployable):
    """Collect the zeros of a model: those of its masks, and any others in its weights.

    Args:
        deployable: A `Deployable`.

    Returns:
        Tuple of `ExpectedZeros`, one for each kernel that has zeros.
    """
    masked = [
        ExpectedZeros(kernel.layer, ~kernel.mask, kernel.placed)
        for kernel in deployable.kernels
        if kernel.mask is not None
    ]
    masked_layers = {kernel.layer for kernel in masked}
    layers = {
        call.operation: "/".join((*call.scope, call.name))
        for call in trace(deployable.model).calls
        if isinstance(call.operation, keras.layers.Layer)
    }
    others = [
        kernel
        for layer, name in layers.items()
        if name not in masked_layers
        for kernel in _of_layer(layer, name)
    ]
    return tuple(kernel for kernel in (*masked, *others) if kernel.zeros.any())


def _parts(layer):
    return layer.parts if isinstance(layer, Rewritten) else ()


def _of_layer(layer, name):
    lstms = [part for part in _parts(layer) if isinstance(part, SequenceLstm)]
    if lstms:
        for gates in (part.gates() for part in lstms):
            yield from (ExpectedZeros(name, a == 0) for a in (*gates.inputs, *gates.recurrent))
        return
    layer_type = layer_types.find(layer)
    if layer_type is not None:
        for kernel in layer_type.kernels(layer):
            weights = keras.ops.convert_to_numpy(kernel.variable(layer))
            yield ExpectedZeros(name, kernel.to_deployed(weights) == 0, kernel.has_layout)
        return
    inside = all_layers(layer)
    of_parts = {id(weights) for part in inside for weights in part.weights}
    for part in inside:
        if (layer_type := layer_types.find(part)) is not None:
            for kernel in layer_type.kernels(part):
                yield _somewhere(name, kernel.variable(part))
    for weights in layer.weights:
        if len(weights.shape) >= 2 and id(weights) not in of_parts:
            yield _somewhere(name, weights)


def _somewhere(name, weights):
    """Expect the zeros of a weight whose layout in the file is unknown.

    Of a weight of zeros alone, such as a token's first value, the converter leaves nothing.
    """
    zeros = keras.ops.convert_to_numpy(weights) == 0
    return ExpectedZeros(name, zeros & (not zeros.all()), placed=False)
