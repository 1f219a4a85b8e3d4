"""The statistics that criteria need of a kernel: gradients and inputs, summed over steps."""

import keras
import numpy as np
from keras import ops

from keras_compress.callbacks.pruning_targets import Target
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.masks import resolve_criterion


class KernelStatistics:
    """Sums the gradients and inputs of one kernel over training steps.

    Gradients are taken with respect to the kernel that the loss sees, including pruned weights: a
    weight that a mask sets to zero gets the gradient it would have without the mask. Gradients pass
    straight through rounding.

    Args:
        target: A `Target` whose criterion needs gradients or activations.
        trainable: The trainable variables of the model.

    Raises:
        InvalidArgumentError: The criterion needs gradients of a kernel that is not trained, or
            activations of a layer for which it is unknown which input each weight multiplies.
    """

    def __init__(self, target: Target, trainable: list):
        self.target = target
        self.criterion = resolve_criterion(target.pruning.criterion)
        self._gradients = self._squares = None
        self._observed: set[str] = set()
        if self.criterion.needs_gradients:
            self._check_trained(trainable)
            self._gradients = _zeros(self.variable.shape)
        if self.criterion.needs_activations:
            self._check_inputs()
            self._squares = _zeros((self.variable.shape[target.kernel.kernel.input_axis],))

    @property
    def variable(self):
        """The kernel's Keras variable."""
        return self.target.kernel.variable

    def add_gradient(self, gradient) -> None:
        """Add the criterion's statistic of the gradient of one step.

        Args:
            gradient: Tensor of the kernel's shape, the gradient of the step's loss.
        """
        if self._gradients is None:
            return
        self._observed.add("gradients")
        weights = ops.convert_to_tensor(self.variable, "float32")
        gradient = ops.cast(ops.convert_to_tensor(gradient), "float32")
        self._gradients.assign_add(self.criterion.gradient_statistic(weights, gradient))

    def add_inputs(self, inputs) -> None:
        """Add the squares of the layer's inputs in one step.

        Args:
            inputs: Tensor (batch, ..., channels), or (batch, channels, ...) for `channels_first`.
        """
        if self._squares is None:
            return
        self._observed.add("activations")
        channel = 1 if _channels_first(self.target.layer) else len(inputs.shape) - 1
        others = [axis for axis in range(len(inputs.shape)) if axis != channel]
        self._squares.assign_add(ops.sum(ops.square(ops.cast(inputs, "float32")), axis=others))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the criterion needs: `gradients`, `activations` or both.

        Returns:
            Dict of arrays of the kernel's shape in the deployed layout.
        """
        kernel, arrays = self.target.kernel.kernel, {}
        if self._gradients is not None:
            arrays["gradients"] = kernel.to_deployed(ops.convert_to_numpy(self._gradients))
        if self._squares is not None:
            shape = tuple(self.variable.shape)
            along = [-1 if axis == kernel.input_axis else 1 for axis in range(len(shape))]
            norms = np.sqrt(ops.convert_to_numpy(self._squares)).reshape(along)
            arrays["activations"] = kernel.to_deployed(np.broadcast_to(norms, shape))
        return arrays

    def check_observed(self) -> None:
        """Check that the traced training steps produced what the criterion needs.

        Raises:
            InvalidArgumentError: They did not.
        """
        for need in ("gradients", "activations"):
            if getattr(self.criterion, f"needs_{need}") and need not in self._observed:
                raise InvalidArgumentError(
                    f"Criterion {self.criterion!r} needs the {need} of a layer, which the training "
                    "step does not produce: it must call the layer and optimizer.apply. "
                    f"Received: no {need} for {self._name}"
                )

    def reset(self) -> None:
        """Reset the sums, unless the criterion sums over the whole training."""
        if self.criterion.sums_all_training:
            return
        for sums in (self._gradients, self._squares):
            if sums is not None:
                sums.assign(ops.zeros_like(sums))

    @property
    def _name(self):
        return repr(self.target.kernel.layer_name)

    def _check_trained(self, trainable):
        if not any(variable is self.variable for variable in trainable):
            raise InvalidArgumentError(
                f"Criterion {self.criterion!r} needs gradients, but a layer that is not trained "
                "has none. Set trainable=True, or choose another criterion for it. "
                f"Received: {self._name}"
            )

    def _check_inputs(self):
        layer = self.target.layer
        grouped = getattr(getattr(layer, "layer", layer), "groups", 1) != 1
        if self.target.kernel.kernel.input_axis is None or grouped:
            raise InvalidArgumentError(
                f"Criterion {self.criterion!r} needs to know which input each weight multiplies. "
                "It supports Dense, Conv1D, Conv2D, Conv2DTranspose and DepthwiseConv2D without "
                f"groups; choose another criterion for other layers. Received: {self._name}"
            )


def needs_statistics(target: Target) -> bool:
    """Tell whether the criterion of a target needs gradients or activations."""
    criterion = resolve_criterion(target.pruning.criterion)
    return criterion.needs_gradients or criterion.needs_activations


def _zeros(shape):
    # Keras adds by assigning old + new, and all replicas have the same old: the mean is correct.
    return keras.Variable(
        np.zeros(tuple(shape), np.float32), trainable=False, dtype="float32", aggregation="mean"
    )


def _channels_first(layer):
    return getattr(getattr(layer, "layer", layer), "data_format", None) == "channels_first"
