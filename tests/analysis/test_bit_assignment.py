import itertools
import math

import pytest

import keras_compress as kc
from keras_compress.analysis.bit_assignment import solve
from keras_compress.errors import InvalidArgumentError

WIDTHS = (8, 4, 2)


@pytest.fixture(scope="module")
def assignment(network, images):
    return kc.assign_bits(network, images[1200:], budget_bytes=500, widths=WIDTHS)


def _sizes(network):
    return {
        layer.name: math.prod(layer.kernel.shape)
        for layer in network.layers
        if layer.name in LAYERS
    }


LAYERS = ("stem", "depthwise", "pointwise", "hidden", "probs")


def test_no_other_choice_is_better(network, assignment):
    """Against all 243 choices."""
    sizes, errors = _sizes(network), assignment.sensitivity
    best = min(
        sum(errors[layer][b] for layer, b in zip(LAYERS, choice, strict=True))
        for choice in itertools.product(WIDTHS, repeat=len(LAYERS))
        if sum(math.ceil(sizes[n] * b / 8) for n, b in zip(LAYERS, choice, strict=True)) <= 500
    )
    assert assignment.predicted_mse == pytest.approx(best, rel=1e-6)
    assert assignment.bytes == sum(math.ceil(sizes[n] * b / 8) for n, b in assignment.items())
    assert assignment.bytes <= 500 and set(assignment) == set(LAYERS)


def test_narrower_is_worse_and_the_sum_holds(network, images, assignment):
    for errors in assignment.sensitivity.values():
        assert errors[8] < errors[4] < errors[2]


def test_multiplications_are_counted(network, images):
    """By hand: positions of the output times weights, one a weight for Dense."""
    free = kc.assign_bits(network, images[1200:], budget_mac_bits=10**9, samples=16)
    macs = 36 * 108 + 16 * 108 + 16 * 288 + 384 + 160
    assert set(free.values()) == {8} and free.mac_bits == 8 * macs
    tight = kc.assign_bits(network, images[1200:], budget_mac_bits=6 * macs, samples=16)
    assert tight.mac_bits <= 6 * macs and 4 in tight.values()


def test_what_fits_nothing_says_what_would(network, images):
    with pytest.raises(InvalidArgumentError, match="smallest possible is 524"):
        kc.assign_bits(network, images[1200:], budget_bytes=300, samples=16)
    with pytest.raises(InvalidArgumentError, match="budget_bytes=, budget_mac_bits="):
        kc.assign_bits(network, images[1200:])


def test_two_budgets_that_exclude_each_other():
    errors = {"a": {8: 0.0, 4: 1.0}, "b": {8: 0.0, 4: 1.0}}
    first = {"a": {8: 1, 4: 9}, "b": {8: 1, 4: 9}}
    second = {"a": {8: 9, 4: 1}, "b": {8: 9, 4: 1}}
    assert solve(errors, [("first", first, 10)])["a"] == 8
    with pytest.raises(InvalidArgumentError, match="both budgets at once"):
        solve(errors, [("first", first, 5), ("second", second, 5)])


def test_it_is_what_quantization_takes(network, assignment):
    model = kc.compress(network, quantization=kc.Quantization(weight_bits=assignment))
    found = {name: model.get_layer(name).quantization.bits for name in LAYERS}
    assert found == dict(assignment)
    assert "bytes of weights" in str(assignment)
