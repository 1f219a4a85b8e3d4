"""The settings of pruning, quantization and clustering, as frozen dataclasses."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from keras_compress.errors import InvalidArgumentError

if TYPE_CHECKING:  # A board has no Keras.
    import keras


class Scope(enum.StrEnum):
    """Which weights are ranked together."""

    LAYER = "layer"
    GLOBAL = "global"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruning:
    """Which weights to prune, and how to choose them.

    Args:
        pattern: Name or instance of a pattern: `"unstructured"`, `"2:4"` (any N:M), `"1x4"`
            (any block), `"channel"`.
        criterion: Name or instance of a criterion: `"magnitude"`, `"l1_norm"`, `"l2_norm"`,
            `"lamp"`, `"random"`, or one for which `kc.PruningCallback` observes training steps:
            `"movement"`, `"taylor"`, `"snip"`, `"wanda"`.
        scope: `"layer"` ranks the scores of each layer separately, `"global"` those of all layers
            with global scope together. With `"global"` prefer the criterion `"lamp"`: by
            magnitude alone, layers of small weights lose too many of them.
        schedule: A schedule for only these layers; `None` uses the callback's.
        layers: Predicate on a layer; layers for which it is false are not pruned. `None` prunes
            every supported layer except depthwise convolutions, which have few weights and lose
            much accuracy.
        floor: With global scope, the least fraction of its weights that a layer keeps, as a
            multiple of the fraction that the whole model keeps: at 75 % sparsity and a floor of 0.5
            each layer keeps at least 12.5 %. 0 ranks without a floor, 1 prunes all layers alike.

    Raises:
        InvalidArgumentError: An unknown scope, or a floor outside [0, 1].

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
    floor: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "scope", _member(Scope, self.scope, "scope"))
        if not isinstance(self.floor, int | float) or not 0 <= self.floor <= 1:
            raise InvalidArgumentError(
                "floor must be a number from 0 to 1, a multiple of the fraction of weights that "
                f"the whole model keeps. Received: floor={self.floor!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantization:
    """How to quantize the weights and activations of a model in training.

    Args:
        profile: Name, path or `Profile` of the target, which provides the defaults of the other
            arguments.
        weight_bits: Width of weights, 2 to 8, or a dict from layer name to width for some layers,
            as `kc.assign_bits` returns it. Default: the profile's, or 8.
        activation_bits: Width of activations: 2 to 8, 16, or 32 to leave them in float. Default:
            the profile's, or 8.
        per_channel: Whether each output channel of a convolution has its own scale. Default: the
            profile's, or true.
        per_channel_dense: The same for Dense layers. Default: the profile's, or true.
        weight_quantizer: Name or instance of a weight quantizer.
        calibrator: Name or instance of an activation calibrator.
        layers: Predicate on a layer; layers for which it is false stay in float.

    Raises:
        InvalidArgumentError: An unsupported width.

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
    """How to make the weights of a layer share a few values.

    Args:
        clusters: Number of distinct values, 2 to 128, in each output channel or in the whole
            kernel. 16 values take 4 bits per weight in a file that stores look-up tables.
        initializer: Name or instance of a centroid initializer: `"kmeans_plus_plus"`,
            `"linear"`, `"density"`, `"random"`.
        per_channel: Whether each output channel has its own values. A file with one scale per
            channel stores one table per channel anyway, so this costs no bytes. Kernels with at
            most `clusters` weights per channel are left unchanged.
        layers: Predicate on a layer; layers for which it is false are not clustered. `None`
            clusters every supported layer except depthwise convolutions, which have few weights.

    Raises:
        InvalidArgumentError: `clusters` is not an integer from 2 to 128.

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
        options = ", ".join(repr(str(member)) for member in kind)
        raise InvalidArgumentError(
            f"{argument} must be one of {options}. Received: {value!r}"
        ) from None
