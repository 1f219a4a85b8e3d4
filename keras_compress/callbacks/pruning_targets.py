"""What a callback prunes: the kernels of a compressed model, or those of a plain one."""

import contextlib
import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from keras_compress.callbacks.step_callback import check_built
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.graph.graph import all_layers
from keras_compress.layers.base import find
from keras_compress.pruning.masks import PrunableWeights
from keras_compress.spec import Pruning
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.prunable_kernel import PrunableKernel, prunable_kernels


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A kernel with its mask and the `Pruning` that decides about it.

    Args:
        kernel: A `PrunableKernel` that has a mask.
        pruning: The `Pruning` of its layer.
        layer: The layer, a `CompressedLayer` or a plain one.
    """

    kernel: PrunableKernel
    pruning: Pruning
    layer: keras.Layer

    def prunable_weights(self, gradients=None, activations=None):
        """Return what the mask is computed from, as it is now.

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
        """Write a mask of the deployed layout into the mask's variable."""
        self.kernel.mask.assign(self.kernel.to_keras(mask))

    def counts(self):
        """Return the weights that the mask holds at zero and all weights."""
        mask = np.asarray(self.kernel.mask)
        return mask.size - np.count_nonzero(mask), mask.size


class CompressedTargets:
    """The targets of a model from `compress`: each wrapper holds its masks and applies them.

    Args:
        model: A compressed model.
    """

    outside = ()

    def __init__(self, model):
        self.targets = [
            Target(kernel, layer.pruning, layer)
            for layer in all_layers(model)
            if isinstance(layer, CompressedLayer) and layer.pruning is not None
            for kernel in layer.prunable_kernels
        ]

    def enforce(self):
        """Do nothing: the wrapper reads its kernel through the mask."""

    def release(self):
        """Do nothing: masks stay where they are."""


class PlainTargets:
    """The targets of a plain model: masks live here and act as constraints on the kernels.

    A constraint is part of the traced train step. So zeros are in force right after each update,
    before any callback sees the weights, with several steps an execution too, and cost no call
    from Python. A kernel's own constraint is applied first.

    Args:
        model: A model whose layers are built.
        pruning: `Pruning` for all layers, or a dict from layer name to `Pruning` (or `None`)
            for those layers alone.
    """

    def __init__(self, model, pruning):
        self._model = model
        layers = all_layers(model)
        _check_names(pruning, layers)
        # Masks have the shapes of kernels.
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
            # A fit that was interrupted never took its own constraint away.
            left = variable.constraint
            own = left.own if isinstance(left, MaskConstraint) else left
            variable.constraint = MaskConstraint(target.kernel.mask, own)
        self.outside = tuple(target.kernel.mask for target in self.targets)
        model.make_train_function(force=True)

    def enforce(self):
        """Set pruned weights to zero now; the next update does so by itself."""
        for target in self.targets:
            variable = target.kernel.variable
            variable.assign(variable * target.kernel.mask)

    def release(self):
        """Leave the model as plain as it was, pruned weights at zero."""
        # An average that the optimizer wrote at the end of training passed by the constraint.
        self.enforce()
        for target in self.targets:
            target.kernel.variable.constraint = target.kernel.variable.constraint.own
        self._model.make_train_function(force=True)


class MaskConstraint(keras.constraints.Constraint):
    """Multiplies a weight by a mask after its own constraint.

    Args:
        mask: Variable of ones and zeros, of the weight's shape.
        own: The constraint that the weight had, or `None`.
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
    """Find what there is to prune in a model.

    Args:
        model: A compressed or a plain model, its layers built.
        pruning: For a plain model, `Pruning`, a dict from layer name to `Pruning`, or `None` for
            `Pruning()`. A compressed model knows its own.

    Returns:
        `CompressedTargets` or `PlainTargets`, with at least one target.

    Raises:
        InvalidArgumentError: Nothing to prune, or `pruning` for a compressed model.
        UnknownNameError: A name that no layer has.
    """
    compressed = any(isinstance(layer, CompressedLayer) for layer in all_layers(model))
    if compressed and pruning is not None:
        raise InvalidArgumentError(
            "A compressed model holds what kc.compress(model, pruning=...) was told; the callback "
            f"takes no other. Received: pruning={pruning!r}"
        )
    found = CompressedTargets(model) if compressed else PlainTargets(model, pruning or Pruning())
    if not found.targets:
        remedy = (
            "it was compressed without pruning: pass pruning=kc.Pruning() to kc.compress"
            if compressed
            else "no layer of a known type passes"
        )
        raise InvalidArgumentError(
            f"PruningCallback found nothing to prune: {remedy}. Received: model {model.name!r}"
        )
    return found


def _spec_of(layer, pruning):
    """Return the `Pruning` of a plain layer, or `None`, and whether it was meant by name."""
    if isinstance(pruning, Mapping):
        return pruning.get(layer.name), True
    if pruning.layers is None:
        return pruning, False
    wanted = find(layer) is not None and pruning.layers(layer)
    return (pruning if wanted else None), True


def _check_names(pruning, layers):
    if isinstance(pruning, Mapping):
        known = {layer.name for layer in layers if find(layer) is not None}
        for name in pruning:
            if name not in known:
                raise UnknownNameError("prunable layer", name, known)


def _new_mask(kernel):
    return keras.Variable(
        np.ones(tuple(kernel.variable.shape)),
        dtype=kernel.variable.dtype,
        trainable=False,
        name=f"{kernel.kernel.attribute}_mask",
    )


def variable_scope(model):
    """Return the context in which variables beside a model's own are made: its strategy's."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()
