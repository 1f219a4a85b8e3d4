"""`kc.Constraints`: limits, by how much they are broken, and the sentence about it."""

import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.searching.objectives import Objectives


def measured(accuracy=0.9, flash=1000, sram=500, latency=None, macs=100):
    return Objectives(
        accuracy=accuracy,
        flash_bytes=flash,
        sram_bytes=sram,
        latency_ms=latency,
        macs=macs,
        verdict="runs",
    )


@pytest.mark.parametrize(
    "limits",
    [
        {"max_accuracy_drop": -0.1},
        {"max_accuracy_drop": "1 %"},
        {"flash_bytes": 0},
        {"sram_bytes": "40k"},
        {"latency_ms": float("inf")},
        {"macs": True},
    ],
)
def test_what_is_no_limit_is_refused(limits):
    ((name, _),) = limits.items()
    with pytest.raises(InvalidArgumentError, match=f"Received: {name}="):
        kc.Constraints(**limits)


def test_the_profile_fills_in_its_memory_and_a_fraction_becomes_macs():
    limits = kc.Constraints(sram_bytes=5, macs=0.5).resolved("cortex_m4", 200)
    assert (limits.flash_bytes, limits.sram_bytes, limits.macs) == (917_504, 5, 100)
    assert kc.Constraints(macs=70).resolved("cortex_m4", 200).macs == 70


def test_the_sentence_names_what_binds_and_by_how_much():
    limits = kc.Constraints(flash_bytes=800, macs=90)
    assert limits.sentence(measured(flash=700, macs=90), 0.905) == ""
    said = limits.sentence(measured(), 0.9)
    assert "flash_bytes=800 binds" in said and "200 (25.0 %) more than allowed" in said
    assert said.endswith("Also broken: macs.")
    said = kc.Constraints(max_accuracy_drop=0.01).sentence(measured(0.85), 0.9)
    assert "loses 5.00 points of accuracy, 4.00 more than allowed" in said


def test_a_figure_that_is_not_known_breaks_nothing():
    assert "latency_ms" not in kc.Constraints(latency_ms=1).excesses(measured(), 0.9)
