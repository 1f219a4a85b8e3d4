"""The kernels that a callback prunes, in a compressed or a plain model."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_compress.callbacks.step_callback import check_built
from keras_compress.errors import CompressionError, InvalidArgumentError, UnknownNameError
from keras_compress.graph.graph import all_layers
from keras_compress.layers.base import find, is_of_compress
from keras_compress.pruning.masks import PrunableWeights
from keras_compress.spec import Pruning
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.model_kernels import (
    kernels_of,
    model_layers,
    selects,
    unreached_layers,
)
from keras_compress.wrappers.prunable_kernel import PrunableKernel, prunable_kernels


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A kernel with its mask and its `Pruning`.

    Args:
        kernel: A `PrunableKernel` that has a mask.
        pruning: The `Pruning` of its layer.
        layer: The layer, a `CompressedLayer` or a plain one.
    """

    kernel: PrunableKernel
    pruning: Pruning
    layer: keras.Layer

    def prunable_weights(self, gradients=None, activations=None):
        """Return the current weights, from which the mask is computed.

        Args:
            gradients: Array of the shape of the weights in the deployed layout, or `None`.
            activations: Array of that shape, or `None`.
        """
        return PrunableWeights(
            self.kernel.deployed_weights(),
            self.kernel.channel_axis,
            self.pruning,
            name=f"{self.kernel.layer_name}/{self.kernel.kernel.attribute}",
            gradients=gradients,
            activations=activations,
        )

    def set_mask(self, mask):
        """Assign a mask in the deployed layout to the mask's variable."""
        self.kernel.mask.assign(self.kernel.to_keras(mask))

    def counts(self):
        """Return the number of weights that the mask sets to zero and the number of all weights."""
        mask = ops.convert_to_numpy(self.kernel.mask)
        return mask.size - np.count_nonzero(mask), mask.size

    def zeros(self):
        """Return the number of zeros among the weights."""
        weights = ops.convert_to_numpy(self.kernel.variable)
        return weights.size - np.count_nonzero(weights)

    def enforce(self):
        """Set pruned weights of a plain layer to zero."""
        variable = self.kernel.variable
        variable.assign(variable * self.kernel.mask)


class Targets:
    """The kernels of a model that are pruned, beside those that are not.

    Args:
        model: A model whose layers are built.
    """

    def __init__(self, model):
        self.model = model
        self.targets = []

    @functools.cached_property
    def size(self):
        """The number of weights of all prunable kernels of the model, pruned or not."""
        variables = [kernel.variable for kernel in self._kernels]
        variables += [target.kernel.variable for target in self.targets]
        sizes = {id(variable): math.prod(variable.shape) for variable in variables}
        return sum(sizes.values())

    @property
    def unreached(self):
        """List the layers with weights that stay dense though the user selected them."""
        reached = {id(target.kernel.variable) for target in self.targets}
        return unreached_layers(self._kernels, reached, self.is_selected)

    @functools.cached_property
    def _kernels(self):
        return kernels_of(model_layers(self.model))

    def is_selected(self, layer):
        """Tell whether the user wants to have a layer pruned that is not, or only in part."""
        raise NotImplementedError


class CompressedTargets(Targets):
    """The targets of a compressed model, whose wrappers hold and apply the masks.

    Args:
        model: A compressed model.
    """

    outside = ()
    stores_masks = True

    def __init__(self, model):
        super().__init__(model)
        self.targets = [
            Target(kernel, layer.pruning, layer)
            for layer in all_layers(model)
            if isinstance(layer, CompressedLayer) and layer.pruning is not None
            for kernel in layer.prunable_kernels
        ]

    def is_selected(self, layer):
        """See `Targets.is_selected`; whatever `kc.compress` was told to choose is wrapped."""
        return all(target.pruning.layers is None for target in self.targets)

    def zeros(self):
        """Return the number of weights that masks set to zero."""
        return sum(target.counts()[0] for target in self.targets)

    def enforce(self):
        """Do nothing: the wrapper applies the mask itself."""

    def release(self):
        """Do nothing: the wrapper keeps its masks."""


class PlainTargets(Targets):
    """The targets of a plain model, whose masks act as constraints on the kernels.

    A constraint is part of the traced train step. So masked weights are zero right after each
    update, before any callback sees them, also with several steps per execution and without a call
    from Python. A kernel's original constraint is applied first.

    Args:
        model: A model whose layers are built.
        pruning: `Pruning` for all layers, or a dict from layer name to `Pruning` (or `None`)
            for only those layers.
    """

    stores_masks = False

    def __init__(self, model, pruning):
        super().__init__(model)
        self._pruning = pruning
        layers = all_layers(model)
        _check_names(pruning, layers)
        # Masks need the shapes of kernels.
        check_built(model, [layer for layer in layers if find(layer) is not None])
        kernels: dict[int, tuple] = {}
        for layer in layers:
            spec, every = _spec_of(layer, pruning)
            if spec is not None and layer.built:
                for kernel in prunable_kernels(layer, every=every):
                    kernels.setdefault(id(kernel.variable), (kernel, spec, layer))
        with variable_scope(model):
            self.targets = [
                Target(dataclasses.replace(kernel, mask=_new_mask(kernel)), spec, layer)
                for kernel, spec, layer in kernels.values()
            ]
        for target in self.targets:
            variable = target.kernel.variable
            # An interrupted fit leaves its mask constraint behind.
            previous = variable.constraint
            own = previous.own if isinstance(previous, MaskConstraint) else previous
            variable.constraint = MaskConstraint(target.kernel.mask, own)
        self.outside = tuple(target.kernel.mask for target in self.targets)
        model.make_train_function(force=True)

    def is_selected(self, layer):
        """See `Targets.is_selected`; a dict selects layers that exist and can be pruned."""
        if isinstance(self._pruning, Mapping):
            return False
        return self._pruning.layers is None or selects(self._pruning.layers, layer)

    def zeros(self):
        """Return the number of zeros in the kernels."""
        return sum(target.zeros() for target in self.targets)

    def enforce(self):
        """Set pruned weights to zero now; later updates do so through the constraint."""
        for target in self.targets:
            target.enforce()

    def release(self):
        """Remove the mask constraints; pruned weights stay zero."""
        # An optimizer that writes averaged weights at the end of training bypasses the constraint.
        # Weights restored from an earlier epoch have the zeros of that epoch's mask instead.
        for target in self.targets:
            if target.zeros() < target.counts()[0]:
                target.enforce()
        for target in self.targets:
            target.kernel.variable.constraint = target.kernel.variable.constraint.own
        self.model.make_train_function(force=True)


class MaskConstraint(keras.constraints.Constraint):
    """Multiplies a weight by a mask, after applying its original constraint.

    Args:
        mask: Variable of ones and zeros, of the weight's shape.
        own: The weight's original constraint, or `None`.
    """

    def __init__(self, mask, own=None):
        self.mask = mask
        self.own = own

    def __call__(self, w):
        """Return the constrained weight."""
        if self.own is not None:
            w = self.own(w)
        return w * self.mask


def find_targets(model, pruning=None):
    """Find the kernels to prune in a model.

    Args:
        model: A compressed or a plain model, its layers built.
        pruning: For a plain model, `Pruning`, a dict from layer name to `Pruning`, or `None` for
            `Pruning()`. A compressed model already contains its own.

    Returns:
        `CompressedTargets` or `PlainTargets`, with at least one target.

    Raises:
        InvalidArgumentError: Nothing to prune, or `pruning` for a compressed model.
        UnknownNameError: A name that no layer has.
    """
    compressed = any(is_of_compress(layer) for layer in all_layers(model))
    if compressed and pruning is not None:
        raise InvalidArgumentError(
            "A compressed model uses the pruning passed to kc.compress(model, pruning=...), so the "
            f"callback must not get another one. Received: pruning={pruning!r}"
        )
    pruned = CompressedTargets(model) if compressed else PlainTargets(model, pruning or Pruning())
    if not pruned.targets:
        reason = (
            "the model was compressed without pruning. Pass pruning=kc.Pruning() to kc.compress"
            if compressed
            else "no layer of a supported type is selected"
        )
        raise InvalidArgumentError(
            f"PruningCallback found nothing to prune: {reason}. Received: model {model.name!r}"
        )
    return pruned


def check_zeros(pruned, sparsity):
    """Check after `fit` that a model has the zeros that the logs say, within one in each kernel.

    Args:
        pruned: `CompressedTargets` or `PlainTargets`.
        sparsity: The sparsity in the logs of the last epoch.

    Raises:
        CompressionError: It has fewer.
    """
    zeros = pruned.zeros()
    if zeros < sparsity * pruned.size - len(pruned.targets):
        raise CompressionError(
            "The model that fit hands back must be as sparse as the logs say. A callback replaced "
            "its weights, by those of an epoch before it was pruned. In your own callback, compare "
            "and restore only epochs in which kc.PruningCallback.target_reached is true; "
            "keras.callbacks.EarlyStopping does so here. "
            f"Received: {zeros / pruned.size:.1%} zeros, where the logs say {sparsity:.1%}"
        )


def _spec_of(layer, pruning):
    """Return the `Pruning` of a plain layer or `None`, and whether the user selected the layer."""
    if isinstance(pruning, Mapping):
        return pruning.get(layer.name), True
    if pruning.layers is None:
        return pruning, False
    is_selected = find(layer) is not None and pruning.layers(layer)
    return (pruning if is_selected else None), True


def _check_names(pruning, layers):
    if isinstance(pruning, Mapping):
        prunable = {layer.name for layer in layers if find(layer) is not None}
        for name in pruning:
            if name not in prunable:
                raise UnknownNameError("prunable layer", name, prunable)


def _new_mask(kernel):
    return keras.Variable(
        np.ones(tuple(kernel.variable.shape)),
        dtype=kernel.variable.dtype,
        trainable=False,
        name=f"{kernel.kernel.attribute}_mask",
    )


def variable_scope(model):
    """Return the context in which to create variables for a model: the scope of its strategy."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()
