"""A search as HTML: the trade-off as plots, the trials as a table, the recipe as text."""

import html
import importlib.resources

from keras_compress.reporting.page import can_render as can_draw
from keras_compress.reporting.plots import draw_svg

__all__ = ["can_draw", "fragment", "page"]

_BEST, _FRONT, _OTHER, _LIMIT = "#c2571a", "#1667c0", "#8b95a5", "#a8283c"


def page(result):
    """Return a whole page about a search.

    Args:
        result: A `SearchResult`.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Compression search</title></head>"
        f'<body style="margin: 0">{fragment(result)}</body></html>\n'
    )


def fragment(result):
    """Return style and body, for a notebook.

    Args:
        result: A `SearchResult`.
    """
    style = importlib.resources.files("keras_compress.reporting").joinpath("report.css")
    return (
        f"<style>{style.read_text('utf-8')}</style>"
        f'<main class="kc-report"><h1>Compression search</h1>{section(result)}</main>'
    )


def section(result):
    """Return the section of a report about a search.

    Args:
        result: A `SearchResult`.
    """
    summary = result.unmet or "All constraints are met."
    kind = "kc-warning" if result.unmet else "kc-note"
    plots = "".join(
        f"<figure><figcaption>{caption}</figcaption>{svg}</figure>"
        for caption, svg in _plots(result)
    )
    code = html.escape(f"{result.recipe.to_toml()}\n{result.recipe.to_python()}")
    return (
        f'<section><h2>Search for {html.escape(result.profile)}</h2><p class="{kind}">'
        f'{html.escape(summary)}</p><div class="kc-grid">{plots}</div>{_table(result)}'
        f'<figure class="kc-after"><figcaption>The winning recipe</figcaption>'
        f'<div class="kc-scroll"><pre>{code}</pre></div></figure></section>'
    )


def _table(result):
    headings, rows = result.rows()
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        '<figure class="kc-after"><figcaption>Trials, * the best</figcaption>'
        f'<div class="kc-scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></figure>"
    )


def _plots(result):
    shown = [("bytes in flash", "flash_bytes", "kB", 1e-3)]
    if result.best.objectives.latency_ms is not None:
        shown.append(("latency", "latency_ms", "ms", 1.0))
    else:
        shown.append(("multiply-accumulates", "macs", "millions", 1e-6))
    for quantity, name, unit, scale in shown:
        yield f"Accuracy against {quantity}", _plot(result, quantity, name, unit, scale)


def _plot(result, quantity, name, unit, scale):
    def draw(axes):
        _draw_trials(axes, result, name, scale)
        _draw_limits(axes, result, name, scale)
        axes.margins(0.15)
        axes.set_xlabel(f"{quantity}, {unit}")
        axes.set_ylabel("accuracy, %")
        axes.grid()

    return draw_svg(draw, f"Accuracy of the trials against {quantity}; dashed: the constraints")


def _draw_trials(axes, result, name, scale):
    front = {id(trial) for trial in result.pareto}
    for trial in _complete(result):
        color = _BEST if trial is result.best else _FRONT if id(trial) in front else _OTHER
        point = scale * getattr(trial.objectives, name), 100 * trial.objectives.accuracy
        axes.plot(*point, "o", color=color, markersize=8)
        axes.annotate(trial.name, point, xytext=(6, 4), textcoords="offset points", fontsize=9)


def _draw_limits(axes, result, name, scale):
    floor = result.baseline_accuracy - result.constraints.max_accuracy_drop
    axes.axhline(100 * floor, color=_LIMIT, linestyle="--", linewidth=1.2)
    limit = getattr(result.constraints, name)
    largest = max(getattr(trial.objectives, name) for trial in _complete(result))
    if limit is not None and limit < 2 * largest:
        axes.axvline(scale * limit, color=_LIMIT, linestyle="--", linewidth=1.2)


def _complete(result):
    return [trial for trial in result.trials if trial.is_complete]
