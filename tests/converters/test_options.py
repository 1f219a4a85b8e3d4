import pytest

from keras_compress.converters.options import ConversionOptions, Mode
from keras_compress.edge_profiles import profile
from keras_compress.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("name", "mode", "activation"),
    [
        ("generic_int8", Mode.INT8, "int8"),
        ("generic_int16x8", Mode.INT16X8, "int16"),
        ("float32", Mode.FLOAT32, "float32"),
    ],
)
def test_from_profile(name, mode, activation):
    options = ConversionOptions.from_profile(profile.get(name))
    assert options.mode is mode and options.activation_type == activation
    assert options.input_type == options.output_type == activation
    assert options.is_quantized is (mode is not Mode.FLOAT32)


def test_wishes_go_before_the_profile():
    coral = profile.get("coral_edgetpu")
    options = ConversionOptions.from_profile(coral, input_type="uint8", allow_float="ELU")
    assert (options.input_type, options.output_type) == ("uint8", coral.output_type)
    assert options.allow_float == {"ELU"} and not options.per_channel_dense
    assert ConversionOptions.from_profile(coral, per_channel_dense=True).per_channel_dense


def test_a_mode_has_its_types():
    with pytest.raises(InvalidArgumentError, match="output_type must be one of int16, float32"):
        ConversionOptions(mode=Mode.INT16X8, input_type="int16", output_type="int8")


def test_a_mode_by_name():
    types = {"input_type": "float32", "output_type": "float32"}
    assert ConversionOptions(mode="float32", **types).mode is Mode.FLOAT32
    with pytest.raises(
        InvalidArgumentError,
        match="mode must be one of float32, float16, dyn",
    ):
        ConversionOptions(mode="int7")
