"""The plots of a report as SVG, drawn with matplotlib and without a display."""

import io
import re
from typing import Any, cast

import numpy as np

_BASELINE, _INK, _GRID = "#8b95a5", "#1f2933", "#d9dee5"
_MODELS = ("#1667c0", "#c2571a", "#2a8055", "#8a4baf", "#a8283c", "#5b6b1e")
# Narrow enough for the text to be legible on a phone.
_WIDTH, _HEIGHT = 5.0, 3.3
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": _BASELINE,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    # A name with two dollar signs is no formula.
    "text.parse_math": False,
    # Without it two drawings of the same report would differ.
    "svg.hashsalt": "keras_compress",
}
_MOST_LAYERS = 32


def weight_histogram(result):
    """Draw the distribution of the nonzero weights, before and after.

    Args:
        result: An `EvaluationResult`.

    Returns:
        SVG text, or `None` where the file has no weights.
    """
    after = result.model.histogram
    before = result.baseline and result.baseline.histogram
    if after is None:
        return None

    def draw(axes):
        if before is not None:
            _steps(axes, before, f"float, {_zeros(before)}", _BASELINE, fill=True)
        _steps(axes, after, f"file, {_zeros(after)}", _MODELS[0], fill=before is None)
        axes.set_xlabel("weight / largest of its channel")
        axes.set_ylabel("weights per bin")
        axes.set_xlim(-1, 1)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(_compact)
        _legend_above(axes)

    return draw_svg(draw, "Histogram of the weights other than zero, before and after")


def layer_sparsity(result):
    """Draw the fraction of zeros in each layer's weights.

    Args:
        result: An `EvaluationResult`.

    Returns:
        SVG text, or `None` where the file has no weights. Of more than 32 tensors the largest
        are shown, in the file's order.
    """
    tensors = result.model.weights
    if not tensors:
        return None
    largest = sorted(range(len(tensors)), key=lambda k: -tensors[k].size)[:_MOST_LAYERS]
    shown = [tensors[k] for k in sorted(largest)]

    def draw(axes):
        places = np.arange(len(shown))
        values = [100 * tensor.sparsity for tensor in shown]
        axes.barh(places, values, color=_MODELS[0], height=0.7)
        for place, value in zip(places, values, strict=True):
            axes.text(value + 1.5, place, f"{value:.0f}", va="center", fontsize=9)
        axes.set_yticks(places, layer_labels(shown), fontsize=9)
        axes.set_xlim(0, 108)
        axes.set_xticks(range(0, 101, 25))
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel("zeros among the weights, %")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)

    height = max(_HEIGHT, 0.8 + 0.24 * len(shown))
    return draw_svg(draw, "Fraction of zeros by layer", height)


def metric_against_bytes(results, metric):
    """Draw a metric over the size of files.

    Args:
        results: Name -> `EvaluationResult`.
        metric: The metric's name.

    Returns:
        SVG text, or `None` where fewer than two points are known.
    """
    points, level = _points(results, metric)
    if len(points) + (level is not None) < 2:
        return None
    scale = 100 if metric.endswith("accuracy") else 1

    def draw(axes):
        if level is not None:
            axes.axhline(scale * level, color=_BASELINE, linestyle="--", linewidth=1.2)
            axes.annotate(
                "float baseline",
                (0.98, scale * level),
                xycoords=("axes fraction", "data"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="right",
                fontsize=9,
            )
        for number, (name, size, value, is_model) in enumerate(points):
            color = _MODELS[number % len(_MODELS)] if is_model else _BASELINE
            axes.plot(size / 1000, scale * value, "o", color=color, markersize=8, label=name)
        _spread(axes, points, level, scale)
        if scale == 100:
            # The room for names above 100 % has no ticks: no accuracy lies there.
            low, high = axes.get_ylim()
            axes.set_yticks([t for t in axes.get_yticks() if low <= t <= min(high, 100 + 1e-6)])
        if len(points) > 2:
            # Names next to the points would overlap where files are alike.
            _legend_above(axes)
        else:
            _label_points(axes, points, scale)
        axes.set_xlabel("size of the file, kB")
        axes.set_ylabel(f"{metric.replace('_', ' ')}{', %' if scale == 100 else ''}")
        axes.grid()

    return draw_svg(draw, f"{metric.replace('_', ' ')} against the size of the file")


def training_curves(history):
    """Draw the history of a training, one panel for each kind of quantity.

    Args:
        history: Name -> values by epoch.

    Returns:
        List of (title, SVG text).
    """
    groups: dict[str, dict] = {}
    for name, values in history.items():
        kind = name.removeprefix("val_")
        if len(values) and np.isfinite(values).any():
            groups.setdefault(kind, {})[name] = values
    return [(kind.replace("_", " "), _curves(kind, curves)) for kind, curves in groups.items()]


def layer_labels(tensors):
    """Return short, unique names for weight tensors.

    Args:
        tensors: `WeightTensor`s.

    Returns:
        List of text.

    Example:
        >>> from types import SimpleNamespace
        >>> layer_labels([SimpleNamespace(layer="stem"), SimpleNamespace(layer="stem")])
        ['stem 1', 'stem 2']
    """
    names = [tensor.layer for tensor in tensors]
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        short = name if len(name) <= 24 else f"…{name[-23:]}"
        labels.append(f"{short} {seen[name]}" if names.count(name) > 1 else short)
    return labels


def draw_svg(draw, label, height=_HEIGHT):
    """Draw on fresh axes and return SVG that scales with the page.

    Args:
        draw: Called with the matplotlib axes.
        label: What the picture shows, for screen readers.
        height: Height in inches at a width of five.

    Returns:
        SVG text.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(cast(Any, _STYLE)):  # its type lists each name of a setting
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _steps(axes, histogram, label, color, fill):
    edges = np.linspace(-127.5 / 127, 127.5 / 127, len(histogram.counts) + 1)
    axes.stairs(
        histogram.counts,
        edges,
        label=label,
        color=color,
        fill=fill,
        alpha=0.55 if fill else 1,
        linewidth=1.6,
    )


def _zeros(histogram):
    return f"{histogram.zeros / histogram.size:.0%} zeros"


def _compact(value, _):
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _legend_above(axes):
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def _points(results, metric):
    """Return (name, bytes, value, is a model) for each file, and a baseline without a size."""
    points = []
    for name, result in results.items():
        if metric in result.model.metrics:
            points.append((name, result.model.bytes, result.model.metrics[metric], True))
    for result in results.values():
        before = result.baseline
        if before is not None and metric in before.metrics:
            if before.bytes is None:
                return points, before.metrics[metric]
            return [*points, ("float baseline", before.bytes, before.metrics[metric], False)], None
    return points, None


def _spread(axes, points, level, scale):
    """Leave room for labels, and keep differences of hundredths of a point small."""
    sizes = [size / 1000 for _, size, _, _ in points]
    if max(sizes) > 20 * min(sizes):
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 2, max(sizes) * 2)
    else:
        axes.set_xlim(0, 1.15 * max(sizes))
    values = [scale * value for _, _, value, _ in points]
    if level is not None:
        values.append(scale * level)
    low, high = min(values), max(values)
    margin = max(0.4 * (high - low), 1.0 if scale == 100 else 0.05 * abs(high))
    top = high + margin
    # No accuracy is above 100 %; a little more leaves room for the points' names.
    axes.set_ylim(low - margin, min(top, 100 + 0.3 * margin) if scale == 100 else top)


def _label_points(axes, points, scale):
    middle = np.mean(axes.get_xlim())
    for name, size, value, _ in points:
        left = size / 1000 > middle
        axes.annotate(
            name,
            (size / 1000, scale * value),
            xytext=(0, 9),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=9,
        )


def _curves(kind, curves):
    def draw(axes):
        for number, (name, values) in enumerate(curves.items()):
            epochs = np.arange(1, len(values) + 1)
            validation = name.startswith("val_")
            label = "validation" if validation else "training"
            style = "o-" if len(values) == 1 else "-"
            axes.plot(epochs, values, style, color=_MODELS[number % len(_MODELS)], label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(kind.replace("_", " "))
        axes.grid()
        if len(curves) > 1:
            _legend_above(axes)
        axes.xaxis.get_major_locator().set_params(integer=True)

    return draw_svg(draw, f"{kind} by epoch")
