"""A layer around another one whose kernels lie on grids: their steps, widths and biases."""

import math
from typing import Any

import keras
from keras import ops

from keras_compress.layers import base as layer_types
from keras_compress.layers.base import batch_norm_affine
from keras_compress.quantization.run_time_rounding import FEWEST_WEIGHTS
from keras_compress.wrappers.phase import Phase, PhasedLayer
from keras_compress.wrappers.projection import Projection


class RoundedKernels(PhasedLayer):
    """Holds a layer, and knows each of its kernels on its grid.

    With a scale for each channel folding a BatchNormalization needs no work, for it only rescales
    every channel's step; with one scale for all channels the kernel is rounded on the folded grid.

    Args:
        layer: A layer of a known type (`keras_compress.layers`).
        quantization: `WeightQuantization`, or `None`.
        batch_norm: The `BatchNormalization` that follows and is folded in the file, or `None`.
    """

    def __init__(self, layer, quantization, batch_norm, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer
        self.quantization = quantization
        self.batch_norm = batch_norm
        self.layer_type = layer_types.type_of(layer)
        self._scales = {}
        self._width: Any = None  # a Keras variable once it is built

    def build_quantization(self):
        """Create the steps of all kernels and the width."""
        quantizer = self.quantization.quantizer
        quantizer.stored_bits(self.quantization.bits)
        self._width = self.counter("weight_bits", self.quantization.bits)
        self._weight_bits = self.quantization.bits
        for kernel in self.kernels:
            # Zero stands for a scale that follows the weights.
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
        """Add a whole number to the weights, which no optimizer trains."""
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
        return getattr(self.layer, kernel.attribute)

    def kernel_before_rounding(self, kernel):
        """Return what is rounded: a kernel after all else that is done to it.

        Args:
            kernel: One of `kernels`.
        """
        return ops.convert_to_tensor(self.variable(kernel))

    def effective_kernel(self, kernel):
        """Return a kernel as the layer sees it: on its grid, once quantization has begun.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor of the variable's shape.
        """
        weights = self.kernel_before_rounding(kernel)
        if self.quantization is None or self.phase == Phase.OFF:
            return weights
        factor = self.folding_factor(kernel)
        if factor is None:
            return self.rounded(kernel, weights)
        return self.rounded(kernel, weights * factor) / factor

    def rounded(self, kernel, weights):
        """Return weights on the grid of a kernel.

        Args:
            kernel: One of `kernels`.
            weights: Tensor of its variable's shape; folded, where one scale serves all channels
                of a layer with a BatchNormalization.
        """
        scale = self._scale(weights, kernel)
        return self.quantization.quantizer.quantize(
            weights, scale, self._shared_axes(kernel), self.weight_bits
        )

    def scale(self, kernel):
        """Return the step of a kernel's grid as it is now.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor that broadcasts to the kernel: for each channel the step before folding, or one
            step for all, which is that of the folded kernel.
        """
        weights = self.kernel_before_rounding(kernel)
        factor = self.folding_factor(kernel)
        return self._scale(weights if factor is None else weights * factor, kernel)

    def fix_scale(self, kernel, scale=None):
        """Keep a step whatever becomes of the weights; a trained step begins there.

        Args:
            kernel: One of `kernels`.
            scale: Positive array of the shape of `scale(kernel)`. Default: the step as it is now.
        """
        self._scales[kernel.attribute].assign(self.scale(kernel) if scale is None else scale)

    def release_scale(self, kernel):
        """Have the step follow the weights again.

        Args:
            kernel: One of `kernels`.
        """
        self._scales[kernel.attribute].assign(ops.zeros_like(self._scales[kernel.attribute]))

    def begin_learning_scales(self):
        """Let trained steps begin at the step that suits the weights as they are now."""
        if self.quantization is not None and self.quantization.quantizer.learned:
            for kernel in self.kernels:
                self.release_scale(kernel)
                self.fix_scale(kernel)

    def set_phase(self, phase):
        """See `PhasedLayer.set_phase`; trained steps begin where quantization begins."""
        if self.built and self.phase == Phase.OFF and phase != Phase.OFF:
            self.begin_learning_scales()
        return super().set_phase(phase)

    @property
    def weight_bits(self):
        """The width of the weights now; that of `quantization` once training has narrowed it."""
        return self._weight_bits

    def set_weight_bits(self, bits):
        """Change the width of the weights; steps follow them again, or are learned anew.

        Args:
            bits: The width. One narrower than `quantization` asks for is taken as that.

        Returns:
            Whether that is a change, so that traced functions have to be made anew.
        """
        bits = max(bits, self.quantization.bits)
        if bits == self._weight_bits:
            return False
        self._weight_bits = bits
        self._width.assign(bits)
        for kernel in self.kernels:
            self.release_scale(kernel)
        if self.phase != Phase.OFF:
            self.begin_learning_scales()
        return True

    def read_state(self):
        """See `PhasedLayer.read_state`; the width is read too."""
        changed = super().read_state()
        if self._width is None:
            return changed
        before, self._weight_bits = self._weight_bits, int(ops.convert_to_numpy(self._width))
        return changed or self._weight_bits != before

    def _scale(self, weights, kernel):
        settings, axes = self.quantization, self._shared_axes(kernel)
        weights = ops.stop_gradient(weights)
        following = settings.quantizer.scale(weights, axes, self.weight_bits)
        fixed = ops.convert_to_tensor(self._scales[kernel.attribute])
        if settings.quantizer.learned:
            size = math.prod(weights.shape) // math.prod(fixed.shape)
            fixed = settings.quantizer.trained_scale(fixed, size, self.weight_bits)
        return ops.where(fixed > 0, fixed, following)

    def _shared_axes(self, kernel):
        """The axes of a kernel along which one scale serves all."""
        own = kernel.channel_axes if self.quantization.per_channel and kernel.per_channel else ()
        axes = range(len(self.variable(kernel).shape))
        return tuple(axis for axis in axes if axis not in own)

    def folding_factor(self, kernel):
        """Return what folding multiplies each channel by, where one scale serves all channels.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor that broadcasts to the kernel; `None` where nothing is folded, or where each
            channel has a scale of its own, which folding multiplies likewise.
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
        """Whether the file holds a bias of this layer as integers."""
        has_bias = self.batch_norm is not None or getattr(self.layer, "use_bias", False)
        return self.quantization is not None and self.layer_type.has_integer_bias and has_bias

    def run_time_axes(self, rank):
        """Return the axes of the input that share a grid which the file finds at run time.

        Args:
            rank: Rank of the input.

        Returns:
            Axes, or `None` where the layer reads floats, or integers of a known grid.
        """
        settings = self.quantization
        if settings is None or not settings.at_run_time or self.phase == Phase.OFF:
            return None
        if math.prod(self.variable(self.kernels[0]).shape) < FEWEST_WEIGHTS:
            return None
        return self.layer_type.run_time_axes(self.layer, rank, packed=self.weight_bits <= 4)

    def accumulator_step(self, input_step):
        """Return what one unit of the file's sums stands for.

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
        """Return the bias after folding, (channels,), in float; `None` where there is none."""
        bias = getattr(self.layer, "bias", None)
        bias = None if bias is None else ops.convert_to_tensor(bias)
        if self.batch_norm is None:
            return bias
        factor, shift = batch_norm_affine(self.batch_norm)
        return shift if bias is None else bias * factor + shift

    def bias_rounding(self, input_step):
        """Return what rounding adds to the bias of each channel (Jacob et al. 2018, 2.4).

        Args:
            input_step: Step of the input's grid, a scalar.

        Returns:
            Tensor (channels,): added to the bias, after folding a BatchNormalization, it gives a
            multiple of the input's step times the kernel's.
        """
        step = self.accumulator_step(input_step)
        bias = self.folded_bias()
        rounded = ops.round(bias / ops.where(step > 0, step, 1.0)) * step
        return ops.stop_gradient(ops.where(step > 0, rounded - bias, 0.0))
