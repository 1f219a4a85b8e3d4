"""The base of a wrapper that rounds kernels to integer grids: their steps, widths and biases."""

import contextlib
import functools
import math
from typing import Any

import keras
from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.layers import base as layer_types
from keras_compress.layers.base import batch_norm_affine, bias_rounding
from keras_compress.quantization.fake_quant import branches
from keras_compress.quantization.run_time_rounding import FEWEST_WEIGHTS, rounded_at_run_time
from keras_compress.wrappers.phase import Phase
from keras_compress.wrappers.projection import Projection
from keras_compress.wrappers.state_variable import value_of
from keras_compress.wrappers.wrapping_layer import WrappingLayer

_WIDEST = 8


class RoundedKernels(WrappingLayer):
    """Wraps a layer and rounds each of its kernels to an integer grid.

    With one scale for each channel, folding a BatchNormalization only rescales each channel's
    step, so nothing has to be done. With one scale for all channels, the kernel is folded before
    it is rounded.

    Args:
        layer: A layer of a supported type (`keras_compress.layers`).
        quantization: `WeightQuantization`, or `None`.
        batch_norm: The `BatchNormalization` that follows and is folded in the file, or `None`.

    Attributes:
        runs_on_cpu: Whether the steps of `fit` run on a CPU without XLA, where branches are cheap.
            `QuantizationCallback` sets it.
    """

    runs_on_cpu = False

    def __init__(self, layer, quantization, batch_norm, **kwargs):
        super().__init__(layer, batch_norm, **kwargs)
        self.quantization = quantization
        self.layer_type = layer_types.type_of(layer)
        self._scales = {}
        self._widths: list[int] = []
        self._width: Any = None  # a `StateVariable` once it is built

    def build_quantization(self):
        """Create the variables for the steps of all kernels and for the width."""
        quantizer = self.quantization.quantizer
        self._widths = _widths(quantizer, self.quantization.bits)
        self._width = self.state_variable("weight_bits", self.quantization.bits)
        for kernel in self.kernels:
            # Zero means that the scale follows the weights.
            self._scales[kernel.attribute] = self.add_weight(
                name=f"{kernel.attribute}_scale",
                shape=self._scale_shape(kernel),
                initializer="zeros",
                trainable=quantizer.learned,
                autocast=False,
            )
            if quantizer.projects:
                self._project_after_updates(kernel)

    def _scale_shape(self, kernel):
        axes = self._shared_axes(kernel)
        shape = self.variable(kernel).shape
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))

    def _project_after_updates(self, kernel):
        updates = self.add_weight(
            name=f"{kernel.attribute}_updates",
            shape=(),
            initializer="zeros",
            trainable=False,
            autocast=False,
        )
        self.variable(kernel).constraint = Projection(
            self, kernel, updates, self.variable(kernel).constraint
        )

    def counter(self, name, value):
        """Add a non-trainable integer weight."""
        return self.add_weight(
            name=name,
            shape=(),
            dtype="int32",
            initializer=keras.initializers.Constant(value),
            trainable=False,
        )

    @property
    def kernels(self):
        """The `Kernel` descriptions of the wrapped layer."""
        return self.layer_type.kernels(self.layer)

    def variable(self, kernel):
        """Return the Keras variable of a kernel."""
        return kernel.variable(self.layer)

    def kernel_before_rounding(self, kernel):
        """Return a kernel as it is just before rounding, after every other change.

        Args:
            kernel: One of `kernels`.
        """
        return ops.convert_to_tensor(self.variable(kernel))

    def effective_kernel(self, kernel):
        """Return the kernel that the layer uses: on its grid once quantization has begun.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor of the same shape as the variable.
        """
        weights = self.kernel_before_rounding(kernel)
        if self.quantization is None:
            return weights
        return self.by_phase(lambda: weights, lambda: self._on_grid(kernel, weights))

    def _on_grid(self, kernel, weights):
        factor = self.folding_factor(kernel)
        if factor is None:
            return self.rounded(kernel, weights)
        return self.rounded(kernel, weights * factor) / factor

    def rounded(self, kernel, weights):
        """Round weights to the grid of a kernel.

        Args:
            kernel: One of `kernels`.
            weights: Tensor of the shape of the kernel's variable. If a layer with a
                BatchNormalization has one scale for all channels, the folded weights.
        """
        quantizer, axes = self.quantization.quantizer, self._shared_axes(kernel)
        weights = value_of(weights)

        def of_width(bits):
            scale = self._scale_at(bits, weights, kernel)
            with branches(self.phase_is_known and self.runs_on_cpu):
                return quantizer.quantize(weights, scale, axes, bits)

        return self._at_width(of_width)

    def _at_width(self, function):
        """Call a function of the quantizer with the current width, in traced functions too."""
        if self.quantization.quantizer.takes_tensor_widths:
            return function(self._width.current())
        return self._by_width(function)

    def _by_width(self, function):
        """Call a function that needs the width as a number: a traced one has a branch for each."""
        branches = [functools.partial(function, bits) for bits in self._widths]
        return self._width.choose(branches, first=self.quantization.bits)

    def scale(self, kernel):
        """Return the current step of a kernel's grid.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor that broadcasts to the kernel: the step of each channel before folding, or one
            step for all channels, that of the folded kernel.
        """
        weights = self.kernel_before_rounding(kernel)
        factor = self.folding_factor(kernel)
        return self._scale(weights if factor is None else weights * factor, kernel)

    def fix_scale(self, kernel, scale=None):
        """Fix a step, however the weights change; a trained step starts from it.

        Args:
            kernel: One of `kernels`.
            scale: Positive array of the shape of `scale(kernel)`. Default: the current step.
        """
        self._scales[kernel.attribute].assign(self.scale(kernel) if scale is None else scale)

    def release_scale(self, kernel):
        """Let the step follow the weights again.

        Args:
            kernel: One of `kernels`.
        """
        self._scales[kernel.attribute].assign(ops.zeros_like(self._scales[kernel.attribute]))

    def begin_learning_scales(self):
        """Start trained steps at the step that the quantizer chooses for the current weights."""
        if self.quantization is not None and self.quantization.quantizer.learned:
            for kernel in self.kernels:
                self.release_scale(kernel)
                self.fix_scale(kernel)

    def set_phase(self, phase):
        """See `PhasedLayer.set_phase`; trained steps start when quantization begins."""
        if self.built and self.phase == Phase.OFF and phase != Phase.OFF:
            self.begin_learning_scales()
        super().set_phase(phase)

    @property
    def weight_bits(self):
        """The current width of the weights, which may narrow down to that of `quantization`."""
        return self.quantization.bits if self._width is None else self._width.read()

    def set_weight_bits(self, bits):
        """Change the width of the weights; steps follow the weights again or are relearned.

        Args:
            bits: The width. It cannot go below the width of `quantization`, nor above the widest
                that the quantizer supports.
        """
        bits = min(max(bits, self.quantization.bits), self._widths[-1])
        if bits == self.weight_bits:
            return
        self._width.assign(bits)
        for kernel in self.kernels:
            self.release_scale(kernel)
        if self.phase != Phase.OFF:
            self.begin_learning_scales()

    def _scale(self, weights, kernel):
        return self._at_width(lambda bits: self._scale_at(bits, weights, kernel))

    def _scale_at(self, bits, weights, kernel):
        settings, axes = self.quantization, self._shared_axes(kernel)
        weights = ops.stop_gradient(weights)
        computed = settings.quantizer.scale(weights, axes, bits)
        fixed = value_of(self._scales[kernel.attribute])
        if settings.quantizer.learned:
            size = math.prod(weights.shape) // math.prod(fixed.shape)
            fixed = settings.quantizer.trained_scale(fixed, size, bits)
        return ops.where(fixed > 0, fixed, computed)

    def _shared_axes(self, kernel):
        """The axes of a kernel that share one scale."""
        per_channel = self.quantization.per_channel and kernel.per_channel
        scaled_axes = kernel.channel_axes if per_channel else ()
        axes = range(len(self.variable(kernel).shape))
        return tuple(axis for axis in axes if axis not in scaled_axes)

    def folding_factor(self, kernel):
        """Return the factor by which folding multiplies each channel, for kernels with one scale.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor that broadcasts to the kernel. `None` if nothing is folded, or if each channel
            has its own scale, which folding then multiplies by the same factor.
        """
        if self.batch_norm is None or self.quantization.per_channel and kernel.per_channel:
            return None
        factor, _ = batch_norm_affine(self.batch_norm)
        factor = ops.where(ops.abs(factor) > 1e-6, factor, 1e-6)
        shape = [
            size if axis in kernel.channel_axes else 1
            for axis, size in enumerate(self.variable(kernel).shape)
        ]
        return ops.stop_gradient(ops.reshape(factor, shape))

    @property
    def rounds_bias(self):
        """Whether the file stores this layer's bias as integers."""
        has_bias = self.batch_norm is not None or getattr(self.layer, "use_bias", False)
        return self.quantization is not None and self.layer_type.has_integer_bias and has_bias

    def rounded_inputs(self, inputs):
        """Round the inputs as the file does, if it chooses their grid at run time.

        Args:
            inputs: Tensor.

        Returns:
            Tensor of the same shape; the inputs, if the file's are in float or their grid is fixed.
        """
        settings = self.quantization
        if settings is None or not settings.at_run_time:
            return inputs
        if math.prod(self.variable(self.kernels[0]).shape) < FEWEST_WEIGHTS:
            return inputs

        def of_width(bits):
            axes = self.layer_type.run_time_axes(self.layer, len(inputs.shape), packed=bits <= 4)
            return inputs if axes is None else rounded_at_run_time(inputs, axes)

        return self.by_phase(lambda: inputs, lambda: self._by_width(of_width))

    def accumulator_step(self, input_step):
        """Return the real value of one unit of the file's integer accumulators.

        Args:
            input_step: Step of the input's grid, a scalar.

        Returns:
            Tensor (channels,): the input's step times the kernel's, after folding.
        """
        (kernel,) = self.kernels
        step = input_step * ops.reshape(self.scale(kernel), (-1,))
        if self.batch_norm is not None and self.folding_factor(kernel) is None:
            factor, _ = batch_norm_affine(self.batch_norm)
            step = step * ops.abs(factor)
        return ops.stop_gradient(step)

    def folded_bias(self):
        """Return the folded bias, a float tensor (channels,), or `None` if there is no bias."""
        bias = getattr(self.layer, "bias", None)
        bias = None if bias is None else ops.convert_to_tensor(bias)
        if self.batch_norm is None:
            return bias
        factor, shift = batch_norm_affine(self.batch_norm)
        return shift if bias is None else bias * factor + shift

    def bias_rounding(self, input_step):
        """Return the change of each channel's bias by rounding (Jacob et al. 2018, section 2.4).

        Args:
            input_step: Step of the input's grid, a scalar.

        Returns:
            Tensor (channels,). The folded bias plus this tensor is a multiple of the input's step
            times the kernel's step.
        """
        return bias_rounding(self.folded_bias(), self.accumulator_step(input_step))


def _widths(quantizer, narrowest):
    """Return the widths that weights may have, in order: those that the quantizer supports."""
    quantizer.stored_bits(narrowest)
    widths = []
    with contextlib.suppress(InvalidArgumentError):
        for bits in range(narrowest, _WIDEST + 1):
            quantizer.stored_bits(bits)
            widths.append(bits)
    return widths
