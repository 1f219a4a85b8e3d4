"""The HTML page of a report: a Jinja2 template, its style and the plots in one text."""

import importlib.resources
import importlib.util

from keras_compress.errors import MissingPackageError
from keras_compress.evaluation import summary
from keras_compress.evaluation.summary import duration, number
from keras_compress.reporting import plots
from keras_compress.reporting.overview import overview
from keras_compress.reporting.target_figures import target_notes, target_rows

_NEEDED = ("matplotlib", "jinja2")
_ACRONYMS = ("mse", "rmse", "mae")


def can_render():
    """Tell whether the packages that draw the page are installed."""
    return not _missing()


def render_page(report):
    """Return a whole page.

    Args:
        report: A `Report`.

    Returns:
        Self-contained HTML text.

    Raises:
        MissingPackageError: Matplotlib or Jinja2 is not installed.
    """
    return _render("page.html.jinja", report)


def render_fragment(report):
    """Return the page's body and style, for a notebook.

    Args:
        report: A `Report`.

    Returns:
        HTML text.

    Raises:
        MissingPackageError: Matplotlib or Jinja2 is not installed.
    """
    return _render("fragment.html.jinja", report)


def _missing():
    missing = []
    for name in _NEEDED:
        try:
            if importlib.util.find_spec(name) is None:
                missing.append(name)
        except ImportError:
            missing.append(name)
    return missing


def _render(template, report):
    missing = _missing()
    if missing:
        raise MissingPackageError(
            f"The HTML report needs {' and '.join(missing)}, which this installation lacks. "
            'Install with: pip install "keras-compress[report]". Text and JSON need nothing more.'
        )
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(
        title=report.title,
        style=_read("report.css"),
        overview=overview(report.results) if len(report.results) > 1 else None,
        comparison=_comparison(report.results),
        models=[
            _model(name, result, report.targets.get(name, []))
            for name, result in report.results.items()
        ],
        curves=[(_heading(key), svg) for key, svg in plots.training_curves(report.history)],
        versions=_versions(report.results),
    )


def _read(name):
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")


def _comparison(results):
    metrics = dict.fromkeys(key for r in results.values() for key in r.model.metrics)
    drawn = ((key, plots.metric_against_bytes(results, key)) for key in metrics)
    return [(_heading(key), svg) for key, svg in drawn if svg]


def _heading(metric):
    """Return a metric's name as a heading."""
    return metric.upper() if metric in _ACRONYMS else metric.replace("_", " ").capitalize()


def _model(name, result, targets):
    return {
        "targets": target_rows(targets) if targets else None,
        "target_notes": target_notes(targets),
        "name": name,
        "tiles": _tiles(result),
        "rows": summary.rows(result),
        "histogram": plots.weight_histogram(result),
        "sparsity": plots.layer_sparsity(result),
        "notes": summary.footnotes(result),
    }


def _tiles(result):
    """Return (figure, label, remark) of the most important figures."""
    model, before = result.model, result.baseline
    tiles = []
    for name, value in list(model.metrics.items())[:1]:
        was = before and before.metrics.get(name)
        remark = f"baseline {number(name, was)}" if was is not None else ""
        tiles.append((number(name, value), name.replace("_", " "), remark))
    ratio = f"{before.bytes / model.bytes:.1f} times smaller" if before and before.bytes else ""
    tiles.append((_size(model.bytes), "file size", ratio))
    if model.sparsity is not None:
        tiles.append((f"{model.sparsity:.1%}", "zero weights", "counted in the file"))
    if model.latency_ms:
        remark = f"p95 {duration(model.latency_ms.p95)}, {result.runtime.name}"
        tiles.append((duration(model.latency_ms.p50), "latency per sample", remark))
    if model.arena:
        tiles.append((_size(model.arena["total_bytes"]), "arena", "in TFLite Micro"))
    if result.label_agreement is not None:
        tiles.append((f"{result.label_agreement:.2%}", "same label", "as the baseline"))
    elif result.output_error and result.output_error["sqnr_db"] is not None:
        ratio = result.output_error["sqnr_db"]
        tiles.append((f"{ratio:.1f} dB", "output SQNR", "against the baseline"))
    return tiles


def _size(count):
    for unit, factor in (("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}" if count < 1000 * factor else f"{count:,} bytes"
    return f"{count} bytes"


def _versions(results):
    versions = {}
    for result in results.values():
        versions.update(result.versions)
    return ", ".join(f"{name} {version}" for name, version in versions.items())
