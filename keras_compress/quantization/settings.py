"""A quantization with all settings resolved: the user's, then the profile's, then int8."""

import dataclasses
import os
from collections.abc import Callable, Mapping

import keras

from keras_compress.edge_profiles import profile as profiles
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.base import Calibrator
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.spec import Quantization

# The width of activations that stay in float.
FLOAT_BITS = 32


@dataclasses.dataclass(frozen=True)
class Settings:
    """A `Quantization` in which every setting has a value.

    Args:
        weight_bits: Width of the weights of layers that are not in `layer_bits`.
        activation_bits: Width of activations.
        per_channel: Whether each output channel of a convolution has its own scale.
        per_channel_dense: Whether each output channel of a Dense layer has its own scale.
        weight_quantizer: Name or instance of a weight quantizer.
        calibrator: Name or instance of an activation calibrator.
        layers: Predicate on a layer, or `None` for all.
        layer_bits: Dict from layer name to the width of its weights.
        packs_int4: Whether the target stores weights of at most 4 bits two to a byte.
        at_run_time: Whether the target quantizes the inputs of kernels at run time.
        rescales_in_8_bits: Whether QUANTIZE rounds as XNNPACK's (`rescaled_in_8_bits`).
    """

    weight_bits: int
    activation_bits: int
    per_channel: bool
    per_channel_dense: bool
    weight_quantizer: str | WeightQuantizer
    calibrator: str | Calibrator
    layers: Callable[[keras.Layer], bool] | None
    layer_bits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    packs_int4: bool = False
    at_run_time: bool = False
    rescales_in_8_bits: bool = False


def resolve_settings(
    quantization: Quantization | str | os.PathLike | Profile | None,
) -> Settings | None:
    """Resolve all settings of a quantization.

    Args:
        quantization: `Quantization`, a profile's name, a `Profile`, or `None`.

    Returns:
        `Settings`, or `None` for `None`.

    Raises:
        InvalidArgumentError: The profile cannot run the requested widths.
        UnknownNameError: No profile has that name.
    """
    if quantization is None:
        return None
    if not isinstance(quantization, Quantization):
        quantization = Quantization(profile=quantization)
    target = profiles.get(quantization.profile or "generic_int8")
    bits = quantization.weight_bits
    layer_bits = dict(bits) if isinstance(bits, Mapping) else {}
    common_bits = None if isinstance(bits, Mapping) else bits
    weight_bits = _first(common_bits, min(8, target.weight_bits[0]))
    packed = target.int4 and min(weight_bits, *layer_bits.values(), 8) <= 4
    dense = target.int4_per_channel_dense if packed else target.per_channel_dense
    activation_bits = _first(quantization.activation_bits, target.activation_bits)
    settings = Settings(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        per_channel=_first(quantization.per_channel, target.per_channel),
        per_channel_dense=_first(quantization.per_channel_dense, dense),
        weight_quantizer=quantization.weight_quantizer,
        calibrator=quantization.calibrator,
        layers=quantization.layers,
        layer_bits=layer_bits,
        packs_int4=target.int4,
        at_run_time=target.quantizes_at_run_time and activation_bits == FLOAT_BITS,
        rescales_in_8_bits=target.rounds_as_xnnpack and activation_bits == 8,
    )
    for width in (settings.weight_bits, *layer_bits.values()):
        if quantization.profile is not None and width not in target.weight_bits:
            raise InvalidArgumentError(
                f"Profile {target.name} runs weights of {_widths(target.weight_bits)} bits. "
                f"Received: weight_bits={width}"
            )
    return settings


def _first(value, default):
    return default if value is None else value


def _widths(widths):
    return " or ".join(map(str, widths))
