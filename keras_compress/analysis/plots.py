"""The plots of an analysis as SVG."""

import numpy as np

from keras_compress.reporting.plots import draw_svg

_FILE, _SIMULATED = "#1667c0", "#8b95a5"
_MOST_LAYERS = 32


def layer_errors(analysis):
    """Draw the SQNR of each layer's output, simulated and in the file.

    Args:
        analysis: An `Analysis`.

    Returns:
        SVG text, or `None` without rows. Of more than 32 layers the worst are shown.
    """
    sides = {"simulated": _SIMULATED, "file": _FILE}
    ratios_of = {source: _ratios(analysis.of(source)) for source in sides}
    worst: dict[str, float] = {}
    for ratios in ratios_of.values():
        for layer, ratio in ratios.items():
            worst[layer] = min(ratio, worst.get(layer, ratio))
    kept = set(sorted(worst, key=worst.__getitem__)[:_MOST_LAYERS])
    layers = [layer for layer in worst if layer in kept]
    if not layers:
        return None

    def draw(axes):
        for source, color in sides.items():
            places = [place for place, layer in enumerate(layers) if layer in ratios_of[source]]
            values = [ratios_of[source][layers[place]] for place in places]
            axes.plot(values, places, "o", color=color, label=source)
        _layer_axis(axes, layers)
        axes.set_xlabel("SQNR against the float model, dB")
        axes.legend(frameon=False)

    return draw_svg(draw, "Error of each layer's output", 0.9 + 0.24 * len(layers))


def sensitivity(analysis):
    """Draw what each layer does to the outputs when it alone is rounded.

    Args:
        analysis: An `Analysis`.

    Returns:
        SVG text, or `None` where it was not measured. Of more than 32 layers the worst are shown.
    """
    shown = analysis.sensitivity[:_MOST_LAYERS]
    if not shown:
        return None

    def draw(axes):
        places = np.arange(len(shown))
        axes.barh(places, [entry.alone_mse for entry in shown], color=_FILE, height=0.7)
        _layer_axis(axes, [entry.layer for entry in shown])
        axes.set_xlabel("MSE of the outputs with only this layer rounded")

    return draw_svg(draw, "Sensitivity of each layer", 0.9 + 0.24 * len(shown))


def _ratios(rows):
    return {layer: row.sqnr_db for layer, row in rows.items() if row.sqnr_db is not None}


def _layer_axis(axes, layers):
    labels = [layer if len(layer) <= 24 else f"…{layer[-23:]}" for layer in layers]
    axes.set_yticks(range(len(layers)), labels, fontsize=9)
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.grid(axis="x")
