"""shrink_report.py: the same facts as text, as a notebook table and as a plot."""

import re

import keras
import matplotlib.pyplot as plt
import pytest
from keras import layers

import keras_compress as kc


@pytest.fixture(scope="module")
def report():
    parts = [keras.Input((8,)), layers.Dense(16, name="a<b"), layers.Dense(4, name="logits")]
    return kc.shrink(keras.Sequential(parts), macs=0.5, return_report=True)[1]


def test_text_and_table_hold_the_same_rows_and_totals(report):
    text, page = str(report), report._repr_html_()
    assert "a&lt;b" in page and "a<b" not in page
    for layer in report.layers:
        assert f"{layer.macs[0]:,} -> {layer.macs[1]:,}" in text
    assert page.count("<tr>") == len(report.layers) + 1
    before, after = report.macs
    total = f"macs: {before:,} -> {after:,}"
    assert total in text and re.sub(">", "&gt;", total) in page


def test_plot_draws_macs_before_and_after(report):
    axes = report.plot()
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    counted = [layer.macs for layer in report.layers if layer.macs[0]]
    assert widths == [[m[0] for m in counted], [m[1] for m in counted]]
    plt.close(axes.figure)
