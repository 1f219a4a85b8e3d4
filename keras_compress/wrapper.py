"""The one wrapper: kernel -> mask -> cluster -> fake-quantize -> the layer's own call."""

import math

import keras
from keras import ops

from keras_compress.clustering.codebook import Codebook
from keras_compress.layers import base as layer_types
from keras_compress.layers.prunable import PrunableKernel
from keras_compress.quantization.folding import batch_norm_affine
from keras_compress.quantization.fused_normalization import normalize
from keras_compress.quantization.phase import Phase, PhasedLayer
from keras_compress.quantization.projection import Projection
from keras_compress.quantization.requantization import rounded_twice
from keras_compress.quantization.run_time_rounding import (
    FEWEST_WEIGHTS,
    rounded_at_run_time,
    takes_rows,
)
from keras_compress.wrapper_config import (
    clustering_config,
    clustering_from,
    pruning_config,
    pruning_from,
    quantization_config,
    quantization_from,
)

# The step at which counting began is unknown until the first batch of the first fit.
UNSET_ORIGIN = -(2**31)


@keras.saving.register_keras_serializable(package="keras_compress")
class CompressedLayer(PhasedLayer):
    """Calls a layer with its kernels masked, clustered and fake-quantized.

    The layer's own code runs: its variables are only read as something else for the time of the
    call. Masks, step and phase are non-trainable weights, so checkpoints and files carry them.
    A BatchNormalization that follows is held too: it is folded into the kernel in the deployed
    file, and the kernel that training sees is the one that folding gives. With a scale for each
    channel that needs no work, for folding only rescales every channel's step; with one scale
    for all channels the kernel is rounded on the folded grid.

    Args:
        layer: A layer of a known type (`keras_compress.layers`).
        pruning: `Pruning`, or `None`.
        quantization: `WeightQuantization`, or `None`.
        batch_norm: The `BatchNormalization` that follows, or `None`.
        clustering: `Clustering`, or `None`.
    """

    def __init__(
        self, layer, pruning=None, quantization=None, batch_norm=None, clustering=None, **kwargs
    ):
        kwargs.setdefault("name", layer.name)
        super().__init__(**kwargs)
        self.layer = layer
        self.batch_norm = batch_norm
        self.pruning = pruning
        self.quantization = quantization
        self.clustering = clustering
        self.supports_masking = layer.supports_masking
        self.layer_type = layer_types.find(layer)
        self._masks = {}
        self._scales = {}
        self._width = None
        self.codebooks = {}

    def build(self, input_shape):
        """Build the layer, its normalization, and the variables of compression."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        if self.batch_norm is not None and not self.batch_norm.built:
            self.batch_norm.build(self.layer.compute_output_shape(input_shape))
            self.batch_norm.built = True
        self.build_phase()
        if self.pruning is not None:
            self._build_pruning()
        if self.clustering is not None:
            self._build_clustering()
        if self.quantization is not None:
            self._build_quantization()
        self.step = self._counter("step", 0)
        self.origin = self._counter("origin", UNSET_ORIGIN)
        self.built = True

    def _build_pruning(self):
        for kernel in self.kernels:
            if kernel.prunable or self.pruning.layers is not None:
                self._masks[kernel.attribute] = self.add_weight(
                    name=f"{kernel.attribute}_mask",
                    shape=getattr(self.layer, kernel.attribute).shape,
                    initializer="ones",
                    trainable=False,
                    autocast=False,
                )

    def _build_clustering(self):
        for kernel in self.kernels:
            shape = tuple(self.variable(kernel).shape)
            axes = kernel.channel_axes if self.clustering.per_channel else ()
            sharing = math.prod(shape) // math.prod(shape[axis] for axis in axes)
            # As many values as weights would need no sharing.
            every = kernel.prunable or self.clustering.layers is not None
            if every and sharing > self.clustering.clusters:
                codebook = Codebook(
                    shape,
                    axes,
                    self.clustering.clusters,
                    keeps_zero=kernel.attribute in self._masks,
                    name=f"{kernel.attribute}_codebook",
                )
                codebook.build()
                self.codebooks[kernel.attribute] = codebook

    def _build_quantization(self):
        quantizer = self.quantization.quantizer
        quantizer.stored_bits(self.quantization.bits)
        self._width = self._counter("weight_bits", self.quantization.bits)
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

    def _counter(self, name, value):
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

    @property
    def prunable_kernels(self):
        """The kernels that are pruned here, each with its mask."""
        return [
            PrunableKernel(self.name, kernel, self.variable(kernel), self._masks[kernel.attribute])
            for kernel in self.kernels
            if kernel.attribute in self._masks
        ]

    def variable(self, kernel):
        """Return the Keras variable of a kernel."""
        return getattr(self.layer, kernel.attribute)

    def call(self, inputs, input_step=None, output_step=None, training=None):
        """Call the layer with its weights as they will be deployed.

        Args:
            inputs: The layer's input.
            input_step: Step of the input's grid, a scalar. The file rounds the bias to multiples
                of it times the kernel's; so does this layer, but for training steps before the
                ranges and statistics are frozen, for they still move.
            output_step: Step of the grid that the output is rounded to next, a scalar, where the
                file's kernel rounds twice on the way there (`requantization`).
            training: Whether this is a training step.

        Returns:
            The layer's output, normalized if it has a BatchNormalization.
        """
        learning = bool(training) and self.phase != Phase.FROZEN
        settled = input_step is not None and not learning
        rounding = self.bias_rounding(input_step) if settled and self.rounds_bias else None
        replaced = [
            (self.variable(kernel), self.effective_kernel(kernel)) for kernel in self.kernels
        ]
        if rounding is not None and self.batch_norm is None:
            replaced.append((self.layer.bias, self.layer.bias + rounding))
        if self.rounds_inputs:
            packed = self.weight_bits <= 4
            inputs = rounded_at_run_time(inputs, takes_rows(self.layer, packed))
        with keras.StatelessScope(state_mapping=replaced):
            outputs = self.layer(inputs)
        if self.batch_norm is not None:
            outputs = normalize(self.batch_norm, outputs, learning)
            if rounding is not None:
                outputs = outputs + ops.cast(rounding, outputs.dtype)
        if settled and output_step is not None:
            outputs = rounded_twice(outputs, self._accumulator_step(input_step), output_step)
        return outputs

    @property
    def rounds_bias(self):
        """Whether the file holds a bias of this layer as integers."""
        has_bias = self.batch_norm is not None or getattr(self.layer, "use_bias", False)
        return self.quantization is not None and self.layer_type.has_integer_bias and has_bias

    @property
    def rounds_inputs(self):
        """Whether the file quantizes what this layer reads at run time."""
        if self.quantization is None or not self.quantization.at_run_time:
            return False
        size = math.prod(self.variable(self.kernels[0]).shape)
        is_wide = self.layer_type.has_integer_bias and size >= FEWEST_WEIGHTS
        return is_wide and self.phase != Phase.OFF

    def _accumulator_step(self, input_step):
        """What one unit of the file's sums stands for, in each output channel."""
        (kernel,) = self.kernels
        step = input_step * ops.reshape(self.scale(kernel), (-1,))
        if self.batch_norm is not None and self.folding_factor(kernel) is None:
            factor, _ = batch_norm_affine(self.batch_norm)
            step = step * ops.abs(factor)
        return ops.stop_gradient(step)

    def bias_rounding(self, input_step):
        """Return what rounding adds to the bias of each channel (Jacob et al. 2018, 2.4).

        Args:
            input_step: Step of the input's grid, a scalar.

        Returns:
            Tensor (channels,): added to the bias, after folding a BatchNormalization, it gives a
            multiple of the input's step times the kernel's.
        """
        step = self._accumulator_step(input_step)
        bias = 0.0 if self.layer.bias is None else ops.convert_to_tensor(self.layer.bias)
        if self.batch_norm is not None:
            factor, shift = batch_norm_affine(self.batch_norm)
            bias = bias * factor + shift
        rounded = ops.round(bias / ops.where(step > 0, step, 1.0)) * step
        return ops.stop_gradient(ops.where(step > 0, rounded - bias, 0.0))

    def effective_kernel(self, kernel):
        """Return a kernel as the layer sees it: masked, clustered, then on its grid.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor of the variable's shape.
        """
        weights = self.clustered_kernel(kernel)
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

    def masked_kernel(self, kernel):
        """Return a kernel with its mask applied."""
        weights = ops.convert_to_tensor(self.variable(kernel))
        mask = self._masks.get(kernel.attribute)
        return weights if mask is None else weights * mask

    def clustered_kernel(self, kernel):
        """Return a kernel with its mask applied and, where clustering has begun, few values."""
        weights = self.masked_kernel(kernel)
        codebook = self.codebooks.get(kernel.attribute)
        if codebook is None:
            return weights
        mask = self._masks.get(kernel.attribute)
        clustered = codebook.call(weights)
        return clustered if mask is None else clustered * mask

    def begin_clustering(self):
        """Choose the values that the weights share, from the weights as they are now."""
        for kernel in self.kernels:
            codebook = self.codebooks.get(kernel.attribute)
            if codebook is not None and codebook.phase == Phase.OFF:
                codebook.begin(self.masked_kernel(kernel), self.clustering.initializer)

    def freeze_clustering(self):
        """Let every weight keep the value that it shares now."""
        for kernel in self.kernels:
            codebook = self.codebooks.get(kernel.attribute)
            if codebook is not None and codebook.phase == Phase.LEARNING:
                codebook.freeze(self.masked_kernel(kernel))

    def scale(self, kernel):
        """Return the step of a kernel's grid as it is now.

        Args:
            kernel: One of `kernels`.

        Returns:
            Tensor that broadcasts to the kernel: for each channel the step before folding, or one
            step for all, which is that of the folded kernel.
        """
        weights = self.clustered_kernel(kernel)
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

    def compute_output_shape(self, input_shape):
        """Return the wrapped layer's output shape."""
        try:
            return self.layer.compute_output_shape(input_shape)
        except NotImplementedError:  # A user's layer that leaves it to Keras to find out.
            inputs = keras.KerasTensor(input_shape, self.layer.compute_dtype)
            return self.layer.compute_output_spec(inputs).shape

    def get_config(self):
        """Return the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "layer": serialize(self.layer),
            "batch_norm": None if self.batch_norm is None else serialize(self.batch_norm),
            "pruning": pruning_config(self.pruning),
            "quantization": quantization_config(self.quantization),
            "clustering": clustering_config(self.clustering),
        }

    @classmethod
    def from_config(cls, config):
        """Make the wrapper from what `get_config` returned."""
        deserialize = keras.saving.deserialize_keras_object
        layer = deserialize(config.pop("layer"))
        batch_norm = config.pop("batch_norm")
        return cls(
            layer,
            pruning=pruning_from(config.pop("pruning")),
            quantization=quantization_from(config.pop("quantization")),
            batch_norm=None if batch_norm is None else deserialize(batch_norm),
            clustering=clustering_from(config.pop("clustering", None)),
            **config,
        )
