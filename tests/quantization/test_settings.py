"""The user's settings come first, then the profile's, then int8."""

import pytest

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.quantization.settings import resolve_settings
from keras_compress.spec import Quantization


def test_nothing_asked_for_is_nothing():
    assert resolve_settings(None) is None


def test_without_a_word_it_is_int8_per_channel():
    chosen = resolve_settings(Quantization())
    assert (chosen.weight_bits, chosen.activation_bits) == (8, 8)
    assert chosen.per_channel and chosen.per_channel_dense
    assert (chosen.weight_quantizer, chosen.calibrator) == ("abs_max", "moving_average")


def test_a_profile_fills_in_what_was_not_said():
    assert resolve_settings("generic_int16x8").activation_bits == 16
    chosen = resolve_settings(Quantization(profile="generic_int16x8", per_channel=False))
    assert chosen.activation_bits == 16 and not chosen.per_channel


def test_a_name_and_a_quantization_with_that_name_are_the_same():
    assert resolve_settings("cortex_m4") == resolve_settings(Quantization(profile="cortex_m4"))


def test_a_width_that_the_profile_cannot_run_is_refused():
    with pytest.raises(InvalidArgumentError, match="coral_edgetpu runs .* Received: weight_bits=4"):
        resolve_settings(Quantization(profile="coral_edgetpu", weight_bits=4))


@pytest.mark.parametrize("bits", [4, {"head": 4}])
def test_dense_layers_have_one_scale_where_the_target_wants_it_at_four_bits(bits):
    assert not resolve_settings(
        Quantization(profile="cortex_m4", weight_bits=bits)
    ).per_channel_dense
    assert resolve_settings("cortex_m4").per_channel_dense
    assert resolve_settings(Quantization(profile="android_cpu", weight_bits=bits)).per_channel_dense


def test_an_unknown_profile_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'coral_edgetpu'"):
        resolve_settings("coral_edge_tpu")
