"""Which weights of a model are zero, and so must be zero in its file."""

import dataclasses

import keras
import numpy as np

from keras_compress.graph.graph import trace
from keras_compress.layers import base as layer_types


@dataclasses.dataclass(frozen=True, eq=False)
class ExpectedZeros:
    """The zeros of one kernel.

    Args:
        layer: Name of the layer; a layer of a nested model has the path `"outer/inner"`.
        zeros: Boolean array, true where the weight is zero.
        placed: Whether the array has the layout of the file, so that places can be compared;
            otherwise only the number of zeros can.
    """

    layer: str
    zeros: np.ndarray
    placed: bool = True


def expected_zeros(deployable):
    """Collect the zeros of a model: those of its masks, and others in its weights.

    Args:
        deployable: A `Deployable`.

    Returns:
        Tuple of `ExpectedZeros`, one for each kernel that has zeros.
    """
    masked = [
        ExpectedZeros(kernel.layer, ~kernel.mask)
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


def _of_layer(layer, name):
    layer_type = layer_types.find(layer)
    if layer_type is not None:
        for kernel in layer_type.kernels(layer):
            weights = np.asarray(getattr(layer, kernel.attribute))
            yield ExpectedZeros(name, kernel.to_deployed(weights) == 0)
        return
    for weights in layer.weights:
        if len(weights.shape) >= 2:
            yield ExpectedZeros(name, np.asarray(weights) == 0, placed=False)
