"""What to compress and how: frozen values that callers write and wrappers store."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from keras_compress.errors import InvalidArgumentError

if TYPE_CHECKING:  # A board has no Keras.
    import keras


class Scope(enum.StrEnum):
    """Over which weights scores are ranked."""

    LAYER = "layer"
    GLOBAL = "global"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruning:
    """Which weights of a layer are pruned, and by which rule.

    Args:
        pattern: Name or instance of a pattern: `"unstructured"`, `"2:4"` (any N:M), `"1x4"`
            (any block), `"channel"`.
        criterion: Name or instance of a criterion: `"magnitude"`, `"l1_norm"`, `"l2_norm"`,
            `"random"`, and those that `kc.PruningCallback` observes training steps for:
            `"movement"`, `"taylor"`, `"snip"`, `"wanda"`.
        scope: `"layer"` ranks the scores of every layer by itself, `"global"` those of all
            layers of global scope together.
        schedule: A schedule for these layers alone; `None` takes the callback's.
        layers: Predicate on a layer; layers for which it is false are not pruned. `None` takes
            every supported layer but depthwise convolutions, which hold few weights and lose
            much accuracy.

    Raises:
        InvalidArgumentError: An unknown scope.

    Example:
        >>> Pruning(pattern="2:4").criterion
        'magnitude'
    """

    # Names or instances of plugins, whose packages stand above this module.
    pattern: Any = "unstructured"
    criterion: Any = "magnitude"
    scope: str = Scope.LAYER
    schedule: Any = None
    layers: Callable[["keras.Layer"], bool] | None = None

    def __post_init__(self):
        object.__setattr__(self, "scope", _member(Scope, self.scope, "scope"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantization:
    """How the weights and activations of a model are quantized in training.

    Args:
        profile: Name, path or `Profile` of the target; it gives what is not said here.
        weight_bits: Width of weights, 2 to 8, or a dict from layer name to width, as
            `kc.assign_bits` returns, for those layers. Default: the profile's, or 8.
        activation_bits: Width of activations, 2 to 8, 16, or 32, which leaves them in float.
            Default: the profile's, or 8.
        per_channel: One scale for each output channel of a convolution. Default: the
            profile's, or true.
        per_channel_dense: The same for Dense layers. Default: the profile's, or true.
        weight_quantizer: Name or instance of a weight quantizer.
        calibrator: Name or instance of an activation calibrator.
        layers: Predicate on a layer; layers for which it is false stay in float.

    Raises:
        InvalidArgumentError: A width that no fake-quantizer has.

    Example:
        >>> Quantization(weight_bits=4).weight_bits
        4
    """

    profile: Any = None
    weight_bits: int | Mapping[str, int] | None = None
    activation_bits: int | None = None
    per_channel: bool | None = None
    per_channel_dense: bool | None = None
    weight_quantizer: Any = "abs_max"
    calibrator: Any = "moving_average"
    layers: Callable[["keras.Layer"], bool] | None = None

    def __post_init__(self):
        widths = self.weight_bits
        for width in widths.values() if isinstance(widths, Mapping) else [widths]:
            if width not in (*range(2, 9), None):
                raise InvalidArgumentError(
                    f"weight_bits must be an integer from 2 to 8. Received: {self.weight_bits!r}"
                )
        if self.activation_bits not in (*range(2, 9), 16, 32, None):
            raise InvalidArgumentError(
                "activation_bits must be 16, 32 (float) or an integer from 2 to 8. "
                f"Received: {self.activation_bits!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clustering:
    """How the weights of a layer are made to share few values.

    Args:
        clusters: Number of values that may occur, 2 to 128: in each output channel, or in the
            kernel. 16 take 4 bits a weight in a file that stores look-up tables.
        initializer: Name or instance of an initializer of centroids: `"kmeans_plus_plus"`,
            `"linear"`, `"density"`, `"random"`.
        per_channel: Whether each output channel has values of its own. A file with a scale for
            each channel stores a table for each channel anyway, so that this costs no bytes.
            Kernels with no more weights in a channel than `clusters` are left as they are.
        layers: Predicate on a layer; layers for which it is false are not clustered. `None`
            takes every supported layer but depthwise convolutions, which hold few weights.

    Raises:
        InvalidArgumentError: A number of clusters that no table can hold.

    Example:
        >>> Clustering(clusters=8).initializer
        'kmeans_plus_plus'
    """

    clusters: int = 16
    initializer: Any = "kmeans_plus_plus"
    per_channel: bool = True
    layers: Callable[["keras.Layer"], bool] | None = None

    def __post_init__(self):
        if self.clusters not in range(2, 129):
            raise InvalidArgumentError(
                f"clusters must be an integer from 2 to 128. Received: clusters={self.clusters!r}"
            )


def _member(kind, value, argument):
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(str(member)) for member in kind)
        raise InvalidArgumentError(
            f"{argument} must be one of {known}. Received: {value!r}"
        ) from None
