"""All kernels of a model, among them those that pruning does not reach."""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import keras

from keras_compress.graph.graph import all_layers
from keras_compress.layers.base import find, is_of_compress
from keras_compress.wrappers.prunable_kernel import prunable_kernels

# A message names so many layers and counts the others.
_NAMED = 3


@dataclasses.dataclass(frozen=True, eq=False)
class ModelKernel:
    """A kernel and the layer in which a user finds it.

    Args:
        layer: The layer of the model, or of a model nested in it, that the kernel is part of: the
            LSTM, not its cell.
        variable: The kernel's Keras variable.
    """

    layer: keras.Layer
    variable: Any

    @property
    def size(self) -> int:
        """The number of weights."""
        return math.prod(self.variable.shape)


@dataclasses.dataclass(frozen=True)
class UnreachedLayer:
    """A layer with weights that are not pruned.

    Args:
        layer: The layer.
        reached: Number of weights of its kernels that are pruned.
        size: Number of weights of its kernels.
        share: `size` as a fraction of all kernels of the model.
    """

    layer: keras.Layer
    reached: int
    size: int
    share: float

    def __str__(self):
        return (
            f"{self.reached / self.size:.0%} of layer {self.layer.name!r} "
            f"({type(self.layer).__name__}, {self.size:,} weights, {self.share:.0%} of the model's "
            "kernels)"
        ).replace("%", " %")


def model_layers(model: keras.Model) -> list[keras.Layer]:
    """List the layers of a model, with those of nested models in place of these models.

    Args:
        model: A Keras model.

    Returns:
        Its layers, without those inside a layer that is not a model.

    Example:
        >>> lstm = keras.layers.LSTM(4, name="lstm")
        >>> inner = keras.Sequential([keras.Input((3, 2)), lstm])
        >>> [layer.name for layer in model_layers(keras.Sequential([inner]))]
        ['lstm']
    """
    layers: list[keras.Layer] = []
    for layer in model.layers:
        layers.extend(model_layers(layer) if isinstance(layer, keras.Model) else [layer])
    return layers


def kernels_of(layers: Iterable[keras.Layer]) -> list[ModelKernel]:
    """List the kernels of layers and of all that is inside them, such as cells.

    These are the kernels that pruning acts on by default, the weights that Keras calls a kernel in
    layers that pruning does not support, and the trainable matrices of custom layers. Biases,
    normalizations and depthwise kernels are not among them.

    Args:
        layers: Layers as a user sees them; see `model_layers`.

    Returns:
        List of `ModelKernel`, each variable once.

    Example:
        >>> lstm = keras.layers.LSTM(4)
        >>> lstm.build((None, 3, 2))
        >>> [kernel.size for kernel in kernels_of([lstm])]  # kernel, recurrent kernel
        [32, 64]
    """
    kernels: dict[int, ModelKernel] = {}
    for layer in layers:
        for variable in _variables(layer):
            kernels.setdefault(id(variable), ModelKernel(layer, variable))
    return list(kernels.values())


def unreached_layers(
    kernels: Collection[ModelKernel],
    reached: Collection[int],
    is_wanted: Callable[[keras.Layer], bool],
) -> list[UnreachedLayer]:
    """List the layers of which pruning leaves out some or all weights.

    Args:
        kernels: All kernels of the model.
        reached: `id` of each variable that is pruned.
        is_wanted: Tells whether the user wants to have a layer pruned.

    Returns:
        Those that the user wants to have pruned, largest first.
    """
    by_layer: dict[keras.Layer, list[ModelKernel]] = {}
    for kernel in kernels:
        by_layer.setdefault(kernel.layer, []).append(kernel)
    size = sum(kernel.size for kernel in kernels)
    unreached = [
        UnreachedLayer(layer, _size(own, reached), _size(own), _size(own) / size)
        for layer, own in by_layer.items()
        if any(id(kernel.variable) not in reached for kernel in own) and is_wanted(layer)
    ]
    return sorted(unreached, key=lambda layer: -layer.size)


def in_words(layers: Collection[UnreachedLayer]) -> str:
    """Return the layers as part of a sentence, the largest by name.

    Args:
        layers: At least one layer, as `unreached_layers` returns them.
    """
    named = [str(layer) for layer in list(layers)[:_NAMED]]
    if len(layers) > _NAMED:
        named.append(f"{len(layers) - _NAMED} more")
    return ", ".join(named)


def selects(predicate: Callable[[keras.Layer], bool], layer: keras.Layer) -> bool:
    """Ask a user's predicate about a layer that pruning may not support.

    Args:
        predicate: The `layers` of a `Pruning`.
        layer: A layer.

    Returns:
        Its answer; false if it reads an attribute that only supported layers have.
    """
    try:
        return bool(predicate(layer))
    except AttributeError:
        return False


def _size(kernels, reached=None):
    return sum(k.size for k in kernels if reached is None or id(k.variable) in reached)


def _variables(layer: keras.Layer) -> Iterator[Any]:
    for part in [layer, *all_layers(layer)]:
        if is_of_compress(part) or not part.built:
            continue
        if find(part) is not None:
            yield from (kernel.variable for kernel in prunable_kernels(part))
        else:
            yield from _unsupported_kernels(part)


def _unsupported_kernels(layer):
    """Return the kernels among the weights that a layer of no supported type has for itself."""
    inside = {id(variable) for part in all_layers(layer) for variable in part.weights}
    is_kernel = _is_matrix if _is_custom(layer) else _is_named_kernel
    if isinstance(layer, keras.layers.DepthwiseConv1D):
        return []
    return [v for v in layer.weights if id(v) not in inside and is_kernel(v)]


def _is_custom(layer):
    """Tell whether a layer's class is a user's, derived from no particular layer of Keras."""
    parents = (kind for kind in type(layer).__mro__ if kind.__module__.split(".")[0] == "keras")
    return next(parents) is keras.layers.Layer


def _is_matrix(variable):
    # Freezing a layer makes its variables not trainable.
    trained = variable.trainable or _is_named_kernel(variable)
    return trained and sum(size > 1 for size in variable.shape) > 1


def _is_named_kernel(variable):
    return variable.name.endswith("kernel") and not variable.name.startswith("depthwise")
