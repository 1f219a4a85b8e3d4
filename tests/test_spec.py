"""Pruning and Quantization reject invalid settings when they are created."""

import dataclasses

import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.spec import Pruning, Quantization, Scope


def test_they_are_frozen_values_with_names_for_arguments():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Pruning().pattern = "2:4"
    with pytest.raises(TypeError):
        Quantization("cortex_m4")
    assert Pruning(pattern="2:4") == Pruning(pattern="2:4")


def test_scopes_are_given_by_name():
    assert Pruning(scope="global").scope is Scope.GLOBAL
    with pytest.raises(InvalidArgumentError, match="'layer', 'global'. Received: 'globl'"):
        Pruning(scope="globl")


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_have_two_to_eight_bits(bits):
    assert Quantization(weight_bits=bits).weight_bits == bits


@pytest.mark.parametrize("bits", [0, 1, 9, 16, 4.5, "8"])
def test_other_widths_of_weights_are_refused(bits):
    with pytest.raises(InvalidArgumentError, match="from 2 to 8. Received"):
        Quantization(weight_bits=bits)


@pytest.mark.parametrize("bits", [1, 9, 31, "8"])
def test_other_widths_of_activations_are_refused(bits):
    with pytest.raises(InvalidArgumentError, match="16, 32 .float. or an integer from 2 to 8"):
        Quantization(activation_bits=bits)
    assert Quantization(activation_bits=16).activation_bits == 16
    assert Quantization(activation_bits=32).activation_bits == 32
