"""The wrapper of a layer: kernel -> mask -> cluster -> fake-quantize -> the layer's own call."""

import math

import keras
from keras import ops

from keras_compress.quantization.requantization import rounded_twice
from keras_compress.wrappers.codebook import Codebook
from keras_compress.wrappers.config import (
    clustering_config,
    clustering_from,
    pruning_config,
    pruning_from,
    quantization_config,
    quantization_from,
)
from keras_compress.wrappers.fused_normalization import normalize
from keras_compress.wrappers.phase import Phase
from keras_compress.wrappers.prunable_kernel import PrunableKernel
from keras_compress.wrappers.replaced_variables import call_with
from keras_compress.wrappers.rounded_kernels import RoundedKernels
from keras_compress.wrappers.state_variable import when

# The step at which counting starts is unknown until the first batch of the first fit.
UNSET_ORIGIN = -(2**31)


# Arguments of the wrapper's call that are not those of the layer.
_STEPS = ("input_step", "output_step")


def arguments_of_layer(kwargs):
    """Return the keyword arguments of a wrapper's call that are also those of its layer."""
    return {key: value for key, value in kwargs.items() if key not in _STEPS}


@keras.saving.register_keras_serializable(package="keras_compress")
class CompressedLayer(RoundedKernels):
    """Calls a layer with its kernels masked, clustered and fake-quantized.

    The layer's own code runs; during the call its variables are replaced by the compressed
    values. Masks, step and phase are non-trainable weights, so checkpoints and files contain them.
    The wrapper also holds the BatchNormalization that follows the layer. The deployed file folds
    it into the kernel, so training uses the folded kernel too.

    Args:
        layer: A layer of a supported type (`keras_compress.layers`).
        pruning: `Pruning`, or `None`.
        quantization: `WeightQuantization`, or `None`.
        batch_norm: The `BatchNormalization` that follows, or `None`.
        clustering: `Clustering`, or `None`.
    """

    def __init__(
        self, layer, pruning=None, quantization=None, batch_norm=None, clustering=None, **kwargs
    ):
        kwargs.setdefault("name", layer.name)
        super().__init__(layer, quantization, batch_norm, **kwargs)
        self.pruning = pruning
        self.clustering = clustering
        self.supports_masking = layer.supports_masking
        self._masks = {}
        self.codebooks = {}
        # True while tracing a step whose gradients pruning observes.
        self.gradients_pass_masks = False

    def build(self, input_shape):
        """Build the layer, its normalization, and the variables that compression adds."""
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
            self.build_quantization()
        self.step = self.counter("step", 0)
        self.origin = self.counter("origin", UNSET_ORIGIN)
        self.built = True

    def _build_pruning(self):
        for kernel in self.kernels:
            if kernel.prunable or self.pruning.layers is not None:
                self._masks[kernel.attribute] = self.add_weight(
                    name=f"{kernel.attribute}_mask",
                    shape=self.variable(kernel).shape,
                    initializer="ones",
                    trainable=False,
                    autocast=False,
                )

    def _build_clustering(self):
        for kernel in self.kernels:
            shape = tuple(self.variable(kernel).shape)
            axes = kernel.channel_axes if self.clustering.per_channel else ()
            weights_per_codebook = math.prod(shape) // math.prod(shape[axis] for axis in axes)
            # With as many values as weights there is nothing to share.
            selected = kernel.prunable or self.clustering.layers is not None
            if selected and weights_per_codebook > self.clustering.clusters:
                codebook = Codebook(
                    shape,
                    axes,
                    self.clustering.clusters,
                    keeps_zero=kernel.attribute in self._masks,
                    name=f"{kernel.attribute}_codebook",
                )
                codebook.build()
                self.codebooks[kernel.attribute] = codebook

    @property
    def prunable_kernels(self):
        """The kernels that this wrapper prunes, each with its mask."""
        return [
            PrunableKernel(self.name, kernel, self.variable(kernel), self._masks[kernel.attribute])
            for kernel in self.kernels
            if kernel.attribute in self._masks
        ]

    def call(self, inputs, input_step=None, output_step=None, training=None, **kwargs):
        """Call the layer with the weights that will be deployed.

        Args:
            inputs: The layer's input.
            input_step: Step of the input's grid, a scalar. The file rounds the bias to multiples
                of this step times the kernel's step. This layer does the same, except in training
                steps before ranges and statistics are frozen, because they still change.
            output_step: Step of the grid that the output is rounded to next, a scalar. Given where
                the file's kernel rounds twice (see `requantization`).
            training: Whether this is a training step.
            **kwargs: Other arguments of the layer's call, such as `reverse=True` of a
                `ReversibleEmbedding`. Keras 3.9 takes a catch-all of another name for a tensor.

        Returns:
            The layer's output, normalized if it has a BatchNormalization.
        """
        learning = self.is_learning_step(training)
        bias_change = self._bias_change(input_step, learning)
        replacements = [
            (self.variable(kernel), self.effective_kernel(kernel)) for kernel in self.kernels
        ]
        if bias_change is not None and self.batch_norm is None:
            replacements.append((self.layer.bias, self.layer.bias + bias_change))
        inputs = self.rounded_inputs(inputs)
        outputs = call_with(self.layer, replacements, inputs, **kwargs)
        if self.batch_norm is not None:
            outputs = normalize(self.batch_norm, outputs, learning)
            if bias_change is not None:
                outputs = outputs + ops.cast(bias_change, outputs.dtype)
        return self._rounded_outputs(outputs, input_step, output_step, learning)

    def _bias_change(self, input_step, learning):
        """Return the change of the bias by rounding, `None` where it is not rounded."""
        if input_step is None or learning is True or not self.rounds_bias:
            return None
        return when(
            learning,
            lambda: ops.zeros_like(self.folded_bias()),
            lambda: self.bias_rounding(input_step),
        )

    def _rounded_outputs(self, outputs, input_step, output_step, learning):
        """Round outputs as a file's kernel does that rounds twice."""
        if input_step is None or output_step is None:
            return outputs
        return when(
            learning,
            lambda: outputs,
            lambda: rounded_twice(outputs, self.accumulator_step(input_step), output_step),
        )

    def masked_kernel(self, kernel):
        """Return a kernel with its mask applied."""
        weights = ops.convert_to_tensor(self.variable(kernel))
        mask = self._masks.get(kernel.attribute)
        if mask is None:
            return weights
        if self.gradients_pass_masks:
            return weights + ops.stop_gradient(weights * mask - weights)
        return weights * mask

    def clustered_kernel(self, kernel):
        """Return a kernel with its mask and, once clustering has begun, its shared values."""
        weights = self.masked_kernel(kernel)
        codebook = self.codebooks.get(kernel.attribute)
        if codebook is None:
            return weights
        mask = self._masks.get(kernel.attribute)
        clustered = codebook.call(weights)
        return clustered if mask is None else clustered * mask

    def kernel_before_rounding(self, kernel):
        """See `RoundedKernels.kernel_before_rounding`: the masked and clustered kernel."""
        return self.clustered_kernel(kernel)

    def begin_clustering(self):
        """Choose the shared values from the current weights."""
        for kernel in self.kernels:
            codebook = self.codebooks.get(kernel.attribute)
            if codebook is not None and codebook.phase == Phase.OFF:
                codebook.begin(self.masked_kernel(kernel), self.clustering.initializer)

    def freeze_clustering(self):
        """Freeze which shared value each weight has."""
        for kernel in self.kernels:
            codebook = self.codebooks.get(kernel.attribute)
            if codebook is not None and codebook.phase == Phase.LEARNING:
                codebook.freeze(self.masked_kernel(kernel))

    def compute_output_spec(self, inputs, training=None, **kwargs):
        """Return shape and type of the output."""
        own = arguments_of_layer(kwargs)
        if own:
            return self.layer.compute_output_spec(inputs, **own)
        return super().compute_output_spec(inputs, training=training)

    def compute_mask(self, inputs, previous_mask):
        """Return the wrapped layer's mask."""
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape):
        """Return the wrapped layer's output shape."""
        try:
            return self.layer.compute_output_shape(input_shape)
        except NotImplementedError:  # A custom layer without a method for this.
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
