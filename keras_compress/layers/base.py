"""The base class of layer types, which describe kernels, their axes, and folding."""

import dataclasses
import functools
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.layers._matrix_form import MatrixForm
from keras_compress.support import plugins
from keras_compress.support.types import Tensor

PACKAGE = "keras_compress.layers"
# Modules of the package that hold no layer type.
_OTHERS = ("operations", "roles")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The layout of one weight of a layer, in Keras and in the TFLite file.

    Args:
        attribute: Name of the layer's attribute that holds the variable, or the path to it:
            `"cell.kernel"`.
        channel_axes: Axes of the Keras array along which each position has its own scale.
        permutation: The Keras axes in the order of the deployed layout.
        deployed_channel_axis: Axis of the output channels in the deployed layout.
        prunable: Whether it is pruned if the user does not select layers.
        per_channel: Whether the TFLite operator supports a scale for each channel.
        input_axis: Axis of the input channels in the Keras array, or `None`.
        has_layout: Whether every file holds the weight in the deployed layout. A recurrent one may
            be cut into gates, or be part of a loop.
    """

    attribute: str
    channel_axes: tuple[int, ...]
    permutation: tuple[int, ...]
    deployed_channel_axis: int = 0
    prunable: bool = True
    per_channel: bool = True
    input_axis: int | None = None
    has_layout: bool = True

    def variable(self, layer: Any) -> Any:
        """Return the Keras variable of this kernel in a built layer.

        Args:
            layer: A layer of the type whose kernel this is.

        Example:
            >>> import keras
            >>> layer = keras.layers.GRU(2)
            >>> layer.build((None, 5, 3))
            >>> [kernel.variable(layer).name for kernel in find(layer).kernels(layer)]
            ['kernel', 'recurrent_kernel']
        """
        return getattr(self._holder(layer), self.name)

    def initializer(self, layer: Any) -> Any:
        """Return the initializer of this kernel in a layer, or `None`."""
        return getattr(self._holder(layer), f"{self.name}_initializer", None)

    @property
    def name(self) -> str:
        """The attribute without the path that leads to it."""
        return self.attribute.rpartition(".")[-1]

    def _holder(self, layer):
        return functools.reduce(_attribute, self.attribute.split(".")[:-1], layer)

    def to_deployed(self, array: np.ndarray) -> np.ndarray:
        """Convert a Keras array to the layout of the TFLite file.

        Args:
            array: Array of the Keras variable's shape.

        Returns:
            A view or copy in the deployed layout.
        """
        return np.transpose(array, self.permutation)

    def from_deployed(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Undo `to_deployed`.

        Args:
            array: Array in the deployed layout.
            shape: The Keras variable's shape.

        Returns:
            Array of that shape.
        """
        return np.transpose(array, np.argsort(self.permutation)).reshape(shape)


def _attribute(holder, name):
    return holder[int(name)] if name.isdigit() else getattr(holder, name)


@dataclasses.dataclass(frozen=True)
class DepthwiseKernel(Kernel):
    """A depthwise kernel: (height, width, channels, multiplier) becomes (1, height, width, out)."""

    def to_deployed(self, array: np.ndarray) -> np.ndarray:
        """See `Kernel.to_deployed`."""
        return np.reshape(array, (1, *array.shape[:2], -1))

    def from_deployed(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """See `Kernel.from_deployed`."""
        return np.reshape(array, shape)


class LayerType:
    """A type of Keras layer whose weights can be pruned and quantized.

    Each file of this package is named after a Keras class in snake case and holds one subclass.

    Attributes:
        applies_activation: Whether the layer applies its `activation` to its outputs.
        is_quantized: Whether its kernels are integers in a TFLite file. Kernels of other types
            can be pruned and clustered, and also stay in float in training.
        is_lookup: Whether its outputs are rows of its kernel, with the kernel's scale.
        propagation: Name of the rule in `shrinking.propagation` that follows channels through it,
            or `None`.
        fuses_batch_norm: Whether a BatchNormalization that follows is folded into the operator.
        has_row: Whether `layers.operations` has a row for it, which says more than its type.
        has_integer_bias: Whether its bias is stored as integers of scale input x kernel.
        rounds_twice_when_packed: Whether LiteRT's kernel for 4-bit weights rounds its sums twice
            (`quantization/requantization.py`).
    """

    applies_activation = True
    is_quantized = True
    is_lookup = False
    propagation: str | None = None
    fuses_batch_norm = False
    has_row = False
    has_integer_bias = False
    rounds_twice_when_packed = False

    def supports(self, layer: keras.Layer) -> bool:
        """Return whether a layer of the class that the type is named after is of this type."""
        return True

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """List the kernels of a layer.

        Args:
            layer: A Keras layer of this type, built.

        Returns:
            Tuple of `Kernel`.
        """
        raise NotImplementedError

    def matrix_form(self, layer: keras.Layer) -> MatrixForm | None:
        """Return the layer as a matrix product.

        Args:
            layer: A built Keras layer of this type.

        Returns:
            A `MatrixForm`, or `None` for a type that has none.
        """
        return None

    def run_time_axes(self, layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...] | None:
        """Return the axes over which LiteRT finds the range of an input quantized at run time.

        Args:
            layer: A built Keras layer of this type.
            rank: Rank of its input.
            packed: Whether two weights are stored in each byte.

        Returns:
            Axes of the input, or `None` for a type whose inputs stay in float.
        """
        return None

    def macs(self, layer: Any, input_shape: tuple, output_shape: tuple) -> int:
        """Count the multiply-accumulates of one call on one sample.

        Args:
            layer: A built Keras layer of this type.
            input_shape: Shape of its input, with the batch.
            output_shape: Shape of its output, with the batch.

        Returns:
            Weights of all kernels * `weight_uses`.

        Example:
            >>> import keras
            >>> layer = keras.layers.Conv2D(4, 3)
            >>> layer.build((None, 8, 8, 2))
            >>> find(layer).macs(layer, (None, 8, 8, 2), (None, 6, 6, 4))  # 36 * 3 * 3 * 2 * 4
            2592
        """
        shapes = [kernel.variable(layer).shape for kernel in self.kernels(layer)]
        return self.weight_uses(layer, input_shape, output_shape) * sum(map(math.prod, shapes))

    def weight_uses(self, layer: Any, input_shape: tuple, output_shape: tuple) -> int:
        """Count how often one sample uses each weight.

        Args:
            layer: A built Keras layer of this type.
            input_shape: Shape of its input, with the batch.
            output_shape: Shape of its output, with the batch.

        Returns:
            Output values of a sample / output channels; 0 for a lookup.
        """
        if self.is_lookup:
            return 0
        kernel = self.kernels(layer)[0]
        shape = kernel.variable(layer).shape
        channels = math.prod(shape[axis] for axis in kernel.channel_axes)
        return math.prod(size or 1 for size in output_shape[1:]) // channels

    def fold(self, kernel: Any, factor: Any) -> Any:
        """Multiply each output channel of a kernel by a factor.

        Args:
            kernel: Array in Keras layout.
            factor: Array of one value for each output channel.

        Returns:
            The scaled kernel, as it is after a BatchNormalization is folded into it.
        """
        return kernel * factor


class Custom(LayerType):
    """A custom layer with a method `compressed_weights()`.

    The method returns a dict from the name of each attribute that holds a kernel to the axis of
    its output channels: an integer, or `None` if the whole variable has one scale.
    """

    applies_activation = False

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        axes = layer.compressed_weights()
        if not isinstance(axes, dict) or not axes:
            raise InvalidArgumentError(
                "compressed_weights must return a dict from attribute to the axis of its output "
                f'channels, such as {{"kernel": -1}}. Received: {axes!r} from {layer.name}'
            )
        return tuple(_kernel(layer, *item) for item in axes.items())


def _kernel(layer, attribute, axis):
    variable = getattr(layer, attribute, None)
    rank = len(getattr(variable, "shape", ()))
    if not rank or not (axis is None or isinstance(axis, int) and -rank <= axis < rank):
        raise InvalidArgumentError(
            "compressed_weights must name attributes that hold variables once the layer is built, "
            f"each with an axis of that variable or None. Received: {attribute}={axis!r} from "
            f"{layer.name}, where it is {variable!r}"
        )
    channel = rank - 1 if axis is None else axis % rank
    rest = tuple(other for other in range(rank) if other != channel)
    return Kernel(
        attribute,
        channel_axes=(channel,),
        permutation=(channel, *rest),
        per_channel=axis is not None,
    )


def is_of_compress(layer: Any) -> bool:
    """Tell whether `kc.compress` added a layer to a model.

    Args:
        layer: A layer, or an operation of `keras.ops`.

    Returns:
        Its attribute `is_of_compress`; false if it has none.
    """
    return getattr(layer, "is_of_compress", False)


def names() -> tuple[str, ...]:
    """List the layer types.

    Returns:
        Names of their files, sorted.

    Example:
        >>> names()[:3]
        ('bidirectional', 'conv1d', 'conv2d')
    """
    return tuple(name for name in plugins.names(PACKAGE) if name not in _OTHERS)


def positions(shape: tuple, channel_axis: int = -1) -> int:
    """Count the positions of one sample: the product of all axes but batch and channels.

    Args:
        shape: Shape of a tensor, with the batch. Axes of free size (`None`) count as 1.
        channel_axis: Its channel axis. Default: the last.

    Returns:
        The number of positions.

    Example:
        >>> positions((None, 8, 8, 3)), positions((None, 3, 8, 8), channel_axis=1)
        (64, 64)
    """
    channels = channel_axis % len(shape)
    return math.prod(shape[i] or 1 for i in range(1, len(shape)) if i != channels)


def batch_norm_affine(norm: keras.layers.BatchNormalization) -> tuple[Tensor, Tensor]:
    """Return the (factor, shift) by which a BatchNormalization scales each channel at inference.

    factor = gamma / sqrt(variance + epsilon), shift = beta - mean * factor

    Args:
        norm: A built `BatchNormalization`.

    Returns:
        Two tensors of one value a channel.
    """
    factor = 1.0 / ops.sqrt(ops.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma
    shift = -norm.moving_mean * factor
    return factor, shift + norm.beta if norm.center else shift


def bias_rounding(bias: Tensor, step: Tensor) -> Tensor:
    """Return the change of a bias by rounding (Jacob et al. 2018, section 2.4).

        round(bias / step) * step - bias

    Args:
        bias: Float tensor (channels,).
        step: Tensor (channels,) or scalar: step of the input times that of the kernel, the real
            value of one unit of the accumulator; zero while nothing is rounded.

    Returns:
        Tensor (channels,), without a gradient; zero where the step is zero.

    Example:
        >>> change = bias_rounding(np.float32([1.25, 1.25]), np.float32([1.0, 0.0]))
        >>> change.numpy().tolist()
        [-0.25, 0.0]
    """
    rounded = ops.round(bias / ops.where(step > 0, step, 1.0)) * step
    return ops.stop_gradient(ops.where(step > 0, rounded - bias, 0.0))


def find(layer: keras.Layer) -> LayerType | None:
    """Return the layer type of a Keras layer.

    Args:
        layer: A Keras layer; a subclass counts as its Keras parent, unless it has a method
            `compressed_weights` (docs/custom_layers.md).

    Returns:
        A `LayerType`, or `None` if there is none for this layer.

    Example:
        >>> import keras
        >>> [kernel.attribute for kernel in find(keras.layers.Conv2D(8, 3)).kernels(None)]
        ['kernel']
    """
    if callable(getattr(layer, "compressed_weights", None)):
        return Custom()
    kind: Any = type(layer)
    name = _name_of(kind)
    layer_type: LayerType | None = None if name is None else plugins.get(PACKAGE, name)()
    return layer_type if layer_type is not None and layer_type.supports(layer) else None


def type_of(layer: Any) -> LayerType:
    """Return the layer type of a Keras layer that has one.

    Args:
        layer: As for `find`.

    Raises:
        InvalidArgumentError: There is no layer type for this layer.
    """
    layer_type = find(layer)
    if layer_type is None:
        raise InvalidArgumentError(
            f"A layer with kernels must be one of {', '.join(names())}, or have a method "
            f"compressed_weights (docs/custom_layers.md). Received: {type(layer).__name__}"
        )
    return layer_type


@functools.cache
def _name_of(kind):
    """Return the layer type of the nearest Keras parent class that has one, or `None`."""
    files = {name.replace("_", ""): name for name in names()}
    parents = (parent for parent in kind.__mro__ if parent.__module__.split(".")[0] == "keras")
    types = (files.get(parent.__name__.lower()) for parent in parents)
    return next(filter(None, types), None)
